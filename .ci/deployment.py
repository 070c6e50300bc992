"""What no engine is needed for to see: syntax, the form of compose.yaml, and what this project asks of its services."""

import json
import sys
from pathlib import Path

from compose_spec import PyOptions
from ruamel.yaml import YAML, YAMLError

ROOT = Path(__file__).resolve().parent.parent


def syntax():
    """Every YAML and JSON file can be read; a key that is there twice is an error."""
    for path in sorted([ROOT / "compose.yaml", *(ROOT / "deploy").rglob("*")]):
        try:
            if path.suffix in (".yaml", ".yml"):
                list(YAML(typ="safe").load_all(path))
            elif path.suffix == ".json":
                json.loads(path.read_text())
        except (YAMLError, ValueError) as error:
            yield f"{path.relative_to(ROOT)}: {error}"


def compose():
    """compose.yaml has the form that the specification gives, and starts in the right order."""
    text = (ROOT / "compose.yaml").read_text()
    try:
        PyOptions(apply_merge=True).from_yaml(text)
    except ValueError as error:
        yield f"compose.yaml: {error}"
        return
    document = YAML(typ="safe").load(text)
    if "version" in document:
        yield "compose.yaml: `version` is obsolete"
    services = document["services"]
    for name, service in services.items():
        if "container_name" in service:
            yield f"compose.yaml: {name} has a name, so it cannot be scaled"
        if service.get("deploy", {}).get("replicas", 1) > 1 and "ports" in service:
            yield f"compose.yaml: {name} is scaled, so its port on the host would be taken"
        if service["image"].rpartition(":")[1] == "" or service["image"].endswith(":latest"):
            yield f"compose.yaml: the image of {name} has no version"
        builds = "build" in service
        if "healthcheck" not in service and not builds:
            yield f"compose.yaml: {name} has no health check"
        for other, how in service.get("depends_on", {}).items():
            ends = services[other].get("healthcheck", {}).get("disable", False)
            wanted = "service_completed_successfully" if ends else "service_healthy"
            if how["condition"] != wanted:
                yield f"compose.yaml: {name} waits for {other} until {how['condition']}, not {wanted}"


faults = [*syntax(), *compose()]
print("\n".join(faults) or "compose.yaml, YAML and JSON: nothing to object to")
sys.exit(bool(faults))
