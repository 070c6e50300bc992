//! What nobody can read is set aside and shown, and holds nothing up.

use crate::harness::scim::user;
use crate::harness::{Database, System, eventually, on_both};

on_both!(undecodable_messages_become_dead_letters_and_later_commands_go_on);
async fn undecodable_messages_become_dead_letters_and_later_commands_go_on(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let id = scim.post("/Users", &user("ann")).await.expect(201).id();

    // One for a resource that exists, so that the next command on it has a dead predecessor or none.
    system.publish(&format!("cmd.interactive.acme.Users.{id}"), b"not an envelope").await;
    system.publish("cmd.urgent.acme.Users.01900000-0000-7000-8000-00000000dead", br#"{"v":1}"#).await;
    system.publish("cmd.bulk.acme.Groups.01900000-0000-7000-8000-00000000dead", &[0, 159, 146, 150]).await;

    let path = format!("/Users/{id}");
    let off = serde_json::json!([{ "op": "replace", "path": "active", "value": false }]);
    assert_eq!(scim.patch(&path, off).await.expect(200).body["active"], false);
    scim.post("/Users", &user("bob")).await.expect(201);

    let listed = eventually("three dead letters are listed", async || {
        let listed = system.rosterd(&["dead-letters", "list", "-o", "json"]).await.expect_success().json();
        (listed["total"] == 3).then_some(listed)
    })
    .await;
    let text = listed.to_string();
    assert!(text.contains(&id), "{listed:#}");
    assert!(!text.contains("not an envelope\""), "a reason never quotes the message: {listed:#}");
    let table = system.rosterd(&["dead-letters", "list"]).await.expect_success().stdout;
    assert_eq!(table.matches(".cmd.").count(), 3, "{table}");
    eventually("nothing stays behind in the log", async || (system.log().await.messages == 0).then_some(())).await;
}
