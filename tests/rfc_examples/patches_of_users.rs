//! RFC 7644 §3.5.2: the examples of PATCH on a user, each on the full user of RFC 7643 §8.2.

use serde_json::{Value, json};

use super::{assert_resource, example, operations};
use crate::harness::scim::{Answer, Scim};
use crate::harness::{Database, System, on_both};

on_both!(a_user_is_changed_as_the_examples_say);
async fn a_user_is_changed_as_the_examples_say(database: Database) {
    let system = System::start(database).await;
    let user = User::of(system.scim()).await;
    let full = example("rfc7643/8_2_full_user.json");
    let (work, home) = (full["emails"][0].clone(), full["emails"][1].clone());

    // Adds a value to emails, and sets the nickname.
    let before = with(&full, &[("emails", json!([work])), ("nickName", json!("B"))]);
    user.check("3_5_2_1_add_emails_and_nickname", &before, &full).await;
    // Every value that matches goes, and no other.
    let other = json!({ "value": "bjensen@example.org", "type": "work" });
    let before = with(&full, &[("emails", json!([work, home, other]))]);
    let after = with(&full, &[("emails", json!([home, other]))]);
    user.check("3_5_2_2_remove_emails", &before, &after).await;
    // The last value that goes leaves the attribute unassigned.
    let before = with(&full, &[("emails", json!([work]))]);
    user.check("3_5_2_2_remove_emails", &before, &with(&full, &[("emails", Value::Null)])).await;
    // The whole work address changes, the other one stays.
    let moved = operations("rfc7644/3_5_2_3_replace_work_address.json")[0]["value"].clone();
    let after = with(&full, &[("addresses", json!([moved, full["addresses"][1]]))]);
    user.check("3_5_2_3_replace_work_address", &full, &after).await;
    // Of the work address, only the street.
    let mut after = full.clone();
    after["addresses"][0]["streetAddress"] = json!("1010 Broadway Ave");
    user.check("3_5_2_3_replace_street_address", &full, &after).await;
    // All e-mail addresses change, and other attributes do not.
    let before = with(&full, &[("emails", json!([other])), ("nickName", json!("B"))]);
    user.check("3_5_2_3_replace_emails_and_nickname", &before, &full).await;
}

on_both!(a_primary_address_takes_this_from_the_other);
async fn a_primary_address_takes_this_from_the_other(database: Database) {
    let system = System::start(database).await;
    let user = User::of(system.scim()).await;
    let full = example("rfc7643/8_2_full_user.json");
    let mut before = full.clone();
    before["addresses"][0]["primary"] = json!(false);
    before["addresses"][1]["primary"] = json!(true);
    let mut after = full;
    after["addresses"][0] = operations("rfc7644/3_5_2_3_replace_work_address.json")[0]["value"].clone();
    after["addresses"][1]["primary"] = json!(false);
    user.check("3_5_2_3_replace_work_address", &before, &after).await;
}

on_both!(what_is_there_already_is_not_added_again);
async fn what_is_there_already_is_not_added_again(database: Database) {
    let system = System::start(database).await;
    let user = User::of(system.scim()).await;
    let full = example("rfc7643/8_2_full_user.json");
    let before = user.reset(&full).await;
    for file in ["3_5_2_1_add_emails_and_nickname", "3_5_2_3_replace_emails_and_nickname"] {
        let answer = user.play(file).await.expect(200);
        assert_eq!(answer.body, before.body, "{file}: nor is lastModified, nor the version, another");
    }
}

on_both!(a_replacement_of_what_is_not_there_has_no_target);
async fn a_replacement_of_what_is_not_there_has_no_target(database: Database) {
    let system = System::start(database).await;
    let user = User::of(system.scim()).await;
    let full = example("rfc7643/8_2_full_user.json");
    let before = user.reset(&with(&full, &[("addresses", json!([full["addresses"][1]]))])).await;
    user.play("3_5_2_3_replace_work_address").await.expect_error(400, Some("noTarget"));
    assert_eq!(user.scim.get(&user.path).await.expect(200).body, before.body);
    // §3.5.2.2: a remove without a match is a success, one without a path is none.
    let remove = json!([{ "op": "remove", "path": "addresses[type eq \"work\"]" }]);
    assert_eq!(user.scim.patch(&user.path, remove).await.expect(200).body, before.body);
    user.scim.patch(&user.path, json!([{ "op": "remove" }])).await.expect_error(400, Some("noTarget"));
}

on_both!(every_path_of_the_examples_is_understood);
async fn every_path_of_the_examples_is_understood(database: Database) {
    let system = System::start(database).await;
    let user = User::of(system.scim()).await;
    let changed = json!([
        { "op": "replace", "path": "name.familyName", "value": "Smith" },
        { "op": "add", "path": "addresses[type eq \"work\"]", "value": { "region": "NY" } },
    ]);
    let answer = user.scim.patch(&user.path, changed).await.expect(200);
    let mut expected = example("rfc7643/8_2_full_user.json");
    expected["name"]["familyName"] = json!("Smith");
    expected["addresses"][0]["region"] = json!("NY");
    assert_resource(&user.scim, &answer, &expected);
}

/// The user that the examples change.
struct User {
    scim: Scim,
    path: String,
}

impl User {
    async fn of(scim: Scim) -> Self {
        let id = scim.post("/Users", &example("rfc7643/8_2_full_user.json")).await.expect(201).id();
        Self { scim, path: format!("/Users/{id}") }
    }

    /// Plays an example on a user that is so, and checks the whole of what comes of it.
    async fn check(&self, file: &str, before: &Value, after: &Value) {
        self.reset(before).await;
        let answer = self.play(file).await.expect(200);
        assert_resource(&self.scim, &answer, after);
        assert_eq!(self.scim.get(&self.path).await.expect(200).body, answer.body, "{file}");
    }

    async fn reset(&self, body: &Value) -> Answer {
        self.scim.put(&self.path, body).await.expect(200)
    }

    async fn play(&self, file: &str) -> Answer {
        self.scim.patch(&self.path, operations(&format!("rfc7644/{file}.json"))).await
    }
}

/// The user with other values of some attributes.
fn with(user: &Value, attributes: &[(&str, Value)]) -> Value {
    let mut user = user.clone();
    for (name, value) in attributes {
        user[*name] = value.clone();
    }
    user
}
