//! RFC 7644 §3.5.2: the examples of PATCH on a group's members.

use serde_json::{Value, json};

use super::{BARBARA, JAMES, operations, with_ids};
use crate::harness::scim::{Answer, Scim, group, user};
use crate::harness::{Database, System, on_both};

/// The group of the examples, with people who exist in place of theirs.
struct Members {
    scim: Scim,
    path: String,
    barbara: String,
    james: String,
    mandy: String,
}

on_both!(members_are_added_removed_and_replaced);
async fn members_are_added_removed_and_replaced(database: Database) {
    let system = System::start(database).await;
    let group = Members::of(system.scim()).await;
    let Members { barbara, james, mandy, .. } = &group;

    group.check("3_5_2_1_add_members", &[], &[barbara]).await;
    group.check("3_5_2_1_add_members", &[james], &[barbara, james]).await;
    group.check("3_5_2_2_remove_one_member", &[barbara, james], &[james]).await;
    group.check("3_5_2_2_remove_all_members", &[barbara, james], &[]).await;
    group.check("3_5_2_2_remove_and_add_one_member", &[barbara, mandy], &[james, mandy]).await;
    group.check("3_5_2_2_replace_all_members", &[mandy], &[barbara, james]).await;
    group.check("3_5_2_3_replace_members", &[barbara, mandy], &[barbara, james]).await;
}

on_both!(a_change_of_members_that_changes_nothing_is_a_success);
async fn a_change_of_members_that_changes_nothing_is_a_success(database: Database) {
    let system = System::start(database).await;
    let group = Members::of(system.scim()).await;
    let Members { barbara, james, .. } = &group;
    for (file, members) in [
        ("3_5_2_1_add_members", [barbara].as_slice()),
        ("3_5_2_2_remove_one_member", &[james]),
        ("3_5_2_2_remove_all_members", &[]),
        ("3_5_2_3_replace_members", &[barbara, james]),
    ] {
        let before = group.reset(members).await;
        let answer = group.play(file).await;
        let after = group.scim.get(&group.path).await.expect(200);
        assert_eq!(after.body, before.body, "{file}");
        assert_eq!(answer.header("etag"), before.header("etag"), "{file}");
    }
}

on_both!(a_member_has_no_display_name);
async fn a_member_has_no_display_name(database: Database) {
    let system = System::start(database).await;
    let group = Members::of(system.scim()).await;
    // §3.5.2 has `members[value eq "…"].displayName` among its examples of paths; no schema of the standard has it.
    let path = format!("members[value eq \"{}\"].displayName", group.barbara);
    let rename = json!([{ "op": "replace", "path": path, "value": "B" }]);
    group.scim.patch(&group.path, rename).await.expect_error(400, Some("invalidPath"));
}

impl Members {
    async fn of(scim: Scim) -> Self {
        let barbara = scim.post("/Users", &user("bjensen")).await.expect(201).id();
        let james = scim.post("/Users", &user("jsmith")).await.expect(201).id();
        let mandy = scim.post("/Users", &user("mpepperidge")).await.expect(201).id();
        let path = format!("/Groups/{}", scim.post("/Groups", &group("Tour Guides", &[])).await.expect(201).id());
        Self { scim, path, barbara, james, mandy }
    }

    /// Plays an example on a group with these members, and checks who is left.
    async fn check(&self, file: &str, before: &[&String], after: &[&String]) {
        self.reset(before).await;
        let answer = self.play(file).await;
        let read = self.scim.get(&self.path).await.expect(200);
        let members = read.body["members"].as_array().cloned().unwrap_or_default();
        let mut members: Vec<_> = members.iter().map(|member| member["value"].as_str().unwrap().to_owned()).collect();
        members.sort_unstable();
        let mut expected: Vec<_> = after.iter().map(|id| (*id).clone()).collect();
        expected.sort_unstable();
        assert_eq!(members, expected, "{file}");
        // As in §3.5.2.1: no body, but the version that the group has now.
        assert_eq!((&answer.body, answer.header("etag")), (&Value::Null, read.header("etag")));
    }

    async fn reset(&self, members: &[&String]) -> Answer {
        let members: Vec<&str> = members.iter().map(|id| id.as_str()).collect();
        self.scim.put(&self.path, &group("Tour Guides", &members)).await.expect(200);
        self.scim.get(&self.path).await.expect(200)
    }

    async fn play(&self, file: &str) -> Answer {
        let operations = operations(&format!("rfc7644/{file}.json"));
        let operations = with_ids(&operations, &[(BARBARA, &self.barbara), (JAMES, &self.james)]);
        self.scim.patch(&self.path, operations).await.expect(204)
    }
}
