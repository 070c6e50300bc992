"""Runs every check of scim2-tester against the SCIM server at ROSTERD_BASE_URL, with the token in ROSTERD_TOKEN.

Prints one line for each result; the exit status is 0 only if every check ran and none found anything.
"""

import os
import random
import sys

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

# What each resource type is checked for: without these, discovery ended the run before it had begun.
EXPECTED = {
    "object_creation",
    "object_query",
    "object_query_without_id",
    "object_query_with_attributes",
    "object_list_with_attributes",
    "search_with_attributes",
    "object_replacement",
    "object_deletion",
    "check_add_attribute",
    "check_remove_attribute",
    "check_replace_attribute",
}
RESOURCE_TYPES = ("User", "Group")


def main() -> int:
    random.seed(1)
    headers = {"Authorization": "Bearer " + os.environ["ROSTERD_TOKEN"]}
    # Never by a proxy: the server is on this machine.
    with Client(base_url=os.environ["ROSTERD_BASE_URL"], headers=headers, timeout=60, trust_env=False) as http:
        # No models are given, so they come from what the server says of itself.
        results = check_server(SyncSCIMClient(http))
    for result in results:
        print(line(result))
    failures = [result for result in results if result.status is not Status.SUCCESS]
    missing = [
        f"{resource_type} {title}"
        for resource_type in RESOURCE_TYPES
        for title in sorted(EXPECTED - {result.title for result in results if result.resource_type == resource_type})
    ]
    for check in missing:
        print(f"MISSING {check}")
    print(f"{len(results)} results, {len(failures)} of them not a success, {len(missing)} checks missing")
    return 1 if failures or missing else 0


def line(result) -> str:
    about = " ".join(filter(None, [result.status.name, result.resource_type, result.title]))
    return f"{about}: {' '.join((result.reason or '').split())}"


if __name__ == "__main__":
    sys.exit(main())
