//! Bulk requests: what is read, and in which order it is done.

use std::collections::BTreeSet;

use proptest::prelude::*;
use protocol::id::ResourceId;
use protocol::scim::bulk::{
    Action, BULK_REQUEST_SCHEMA, BulkLimits, BulkRequest, BulkResponse, BulkResult, Plan, Ready, ResourceRef, Settled,
    resolve,
};
use protocol::scim::error::{ScimError, ScimType};
use protocol::scim::precondition::Precondition;
use protocol::scim::resource::Version;
use serde_json::{Value, json};

const LIMITS: BulkLimits = BulkLimits { operations: 8, bytes: 1_000_000 };

fn read(body: &Value) -> Result<BulkRequest, ScimError> {
    BulkRequest::read(body.to_string().as_bytes(), LIMITS)
}

fn request(operations: &[Value]) -> BulkRequest {
    BulkRequest::read(body(operations).to_string().as_bytes(), BulkLimits { operations: 1_000, ..LIMITS }).unwrap()
}

fn body(operations: &[Value]) -> Value {
    json!({ "schemas": [BULK_REQUEST_SCHEMA], "Operations": operations })
}

fn user(bulk_id: &str, name: &str) -> Value {
    json!({ "method": "POST", "path": "/Users", "bulkId": bulk_id, "data": { "userName": name } })
}

fn group(bulk_id: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|member| json!({ "value": format!("bulkId:{member}") })).collect();
    json!({ "method": "POST", "path": "/Groups", "bulkId": bulk_id,
            "data": { "displayName": bulk_id, "members": members } })
}

fn change(method: &str, number: u128, data: &Value) -> Value {
    let id = ResourceId(uuid::Uuid::from_u128(number));
    json!({ "method": method, "path": format!("/Users/{id}"), "data": data })
}

/// The waves in which everything succeeds.
fn waves(operations: &[Value]) -> Vec<Vec<usize>> {
    let mut plan = Plan::of(&request(operations).operations, None);
    std::iter::from_fn(|| {
        let wave = plan.next_wave();
        let ran: Vec<usize> = wave.iter().map(run).collect();
        for index in &ran {
            plan.settle(*index, Settled::Applied);
        }
        assert!(plan.take_back().is_empty());
        (!ran.is_empty()).then_some(ran)
    })
    .collect()
}

#[track_caller]
fn run(ready: &Ready) -> usize {
    match ready {
        Ready::Run(index) => *index,
        Ready::Refused(index, error) => panic!("operation {index} was refused: {error}"),
    }
}

#[test]
fn names_are_read_in_any_letter_case_and_the_path_in_any_common_form() {
    let id = ResourceId(uuid::Uuid::from_u128(7));
    for path in
        [format!("/Users/{id}"), format!("Users/{id}"), format!("https://scim.example.com/scim/v2/acme/Users/{id}")]
    {
        let operation = json!({ "METHOD": "delete", "Path": path, "version": "W/\"3\"" });
        let sent =
            json!({ "Schemas": [BULK_REQUEST_SCHEMA.to_uppercase()], "failonerrors": 2, "operations": [operation] });
        let request = read(&sent).unwrap();
        assert_eq!((request.fail_on_errors, request.operations[0].method.as_str()), (Some(2), "DELETE"));
        match request.operations[0].action.as_ref().unwrap() {
            Action::Delete { target, precondition } => {
                assert_eq!(target.which, ResourceRef::Id(id));
                assert_eq!(*precondition, Precondition::IfMatch(vec![Version::from_number(3)]));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_request_that_is_wrong_as_a_whole_is_refused() {
    let with = |members: Value| {
        let mut sent = body(&[]);
        sent.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        read(&sent).unwrap_err()
    };
    assert_eq!(with(json!({ "schemas": [] })).scim_type, Some(ScimType::InvalidSyntax));
    assert_eq!(with(json!({ "failOnErrors": "1" })).scim_type, Some(ScimType::InvalidValue));
    assert_eq!(with(json!({ "Operations": [7] })).scim_type, Some(ScimType::InvalidSyntax));
    assert_eq!(read(&json!({ "schemas": [BULK_REQUEST_SCHEMA] })).unwrap_err().detail, "Operations is missing");
    assert_eq!(read(&json!([])).unwrap_err().status, 400);
    let twice = format!(r#"{{"Operations":[],"operations":[],"schemas":["{BULK_REQUEST_SCHEMA}"]}}"#);
    assert_eq!(BulkRequest::read(twice.as_bytes(), LIMITS).unwrap_err().detail, "Operations is given twice");
}

#[test]
fn one_operation_too_many_is_seen_before_the_rest_has_come() {
    struct Endless(Vec<u8>);
    impl std::io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                self.0.extend(format!("{},", user("x", "x")).bytes());
            }
            let count = buffer.len().min(self.0.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            Ok(count)
        }
    }
    let error = BulkRequest::read(Endless(br#"{"Operations":["#.to_vec()), LIMITS).unwrap_err();
    assert_eq!(error.status, 413);
    assert!(error.detail.contains("at most 8 operations") && error.detail.contains("maxOperations"), "{error}");
}

#[test]
fn what_is_wrong_with_one_operation_is_its_own_error() {
    for (operation, status) in [
        (json!({ "path": "/Users", "bulkId": "a", "data": {} }), 400),
        (json!({ "method": "GET", "path": "/Users" }), 400),
        (json!({ "method": "POST", "path": "/Users", "data": {} }), 400),
        (json!({ "method": "POST", "path": "/Users", "bulkId": "a" }), 400),
        (json!({ "method": "POST", "path": "/Users", "bulkId": "a", "data": [] }), 400),
        (json!({ "method": "POST", "path": "/Users", "bulkId": 7, "data": {} }), 400),
        (json!({ "method": "POST", "path": "/Devices", "bulkId": "a", "data": {} }), 404),
        (json!({ "method": "POST", "bulkId": "a", "data": {} }), 400),
        (json!({ "method": "PUT", "path": "/Users", "data": {} }), 405),
        (json!({ "method": "DELETE", "path": "/Users/nobody" }), 404),
        (json!({ "method": "DELETE", "path": "/Users/nobody", "version": 3 }), 404),
    ] {
        let mut plan = Plan::of(&request(std::slice::from_ref(&operation)).operations, None);
        match plan.next_wave().as_slice() {
            [Ready::Refused(0, error)] => assert_eq!(error.status, status, "{operation}"),
            other => panic!("{operation}: {other:?}"),
        }
        assert!(plan.next_wave().is_empty());
    }
}

#[test]
fn references_are_followed_forward_and_backward() {
    assert_eq!(waves(&[group("g", &["a", "b"]), user("a", "a"), user("b", "b")]), [vec![1, 2], vec![0]]);
    assert_eq!(waves(&[user("a", "a"), group("g", &["a"]), group("h", &["g"])]), [[0], [1], [2]]);
    let path = json!({ "method": "DELETE", "path": "/Users/bulkId:a" });
    assert_eq!(waves(&[path, user("a", "a")]), [[1], [0]]);
}

#[test]
fn a_circle_is_done_at_once_after_what_it_needs() {
    let operations = [group("x", &["h"]), group("g", &["h", "a"]), group("h", &["g"]), user("a", "a")];
    assert_eq!(waves(&operations), [vec![3], vec![1, 2], vec![0]]);
    assert_eq!(waves(&[group("g", &["g"])]), [[0]]);
}

#[test]
fn what_was_created_in_a_broken_circle_is_taken_back() {
    let operations = [group("g", &["h"]), group("h", &["g"]), group("i", &["g"]), group("j", &[])];
    let mut plan = Plan::of(&request(&operations).operations, None);
    assert_eq!(plan.next_wave(), [Ready::Run(3)]);
    plan.settle(3, Settled::Applied);
    assert_eq!(plan.next_wave(), [Ready::Run(0), Ready::Run(1)]);
    plan.settle(0, Settled::Applied);
    plan.settle(1, Settled::NameTaken);
    assert_eq!(plan.take_back(), [0]);
    match plan.next_wave().as_slice() {
        [Ready::Refused(2, error)] => assert_eq!(error.status, 409),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reference_to_what_failed_or_never_was_is_a_conflict() {
    let operations = [user("a", "a"), group("g", &["a"]), group("h", &["g"]), group("i", &["nobody"]), group("j", &[])];
    let mut plan = Plan::of(&request(&operations).operations, None);
    let first = plan.next_wave();
    assert!(
        matches!(first.as_slice(), [Ready::Run(0), Ready::Refused(3, error), Ready::Run(4)] if error.status == 409)
    );
    plan.settle(0, Settled::Failed);
    plan.settle(4, Settled::Applied);
    let second = plan.next_wave();
    assert!(matches!(second.as_slice(), [Ready::Refused(1, error)] if error.status == 409), "{second:?}");
    assert!(matches!(plan.next_wave().as_slice(), [Ready::Refused(2, error)] if error.status == 409));
    assert!(plan.next_wave().is_empty());
}

#[test]
fn the_order_of_the_request_is_kept_where_it_matters() {
    let (rename, plain) = (json!({ "userName": "x" }), json!({ "nickName": "x" }));
    // Operations on one resource go together, in order.
    assert_eq!(waves(&[change("PATCH", 1, &plain), change("PATCH", 1, &plain)]), [[0, 1]]);
    // One of them that has to wait holds the later ones back.
    let referring = change("PATCH", 1, &json!({ "manager": { "value": "bulkId:a" } }));
    let operations = [referring, change("PATCH", 1, &plain), user("a", "a")];
    assert_eq!(waves(&operations), [vec![2], vec![0, 1]]);
    // Two that claim one name.
    assert_eq!(waves(&[user("a", "same"), user("b", "SAME"), user("c", "other")]), [vec![0, 2], vec![1]]);
    // A name is free only after who had it is gone.
    let gone = json!({ "method": "DELETE", "path": format!("/Users/{}", ResourceId(uuid::Uuid::from_u128(1))) });
    assert_eq!(waves(&[gone, user("a", "a"), user("b", "b")]), [vec![0], vec![1, 2]]);
    assert_eq!(waves(&[user("a", "a"), change("PUT", 2, &rename), group("g", &[])]), [vec![0, 2], vec![1]]);
}

#[test]
fn a_rename_beside_others_gets_a_second_turn() {
    let rename = |number, name| change("PUT", number, &json!({ "userName": name }));
    let mut plan = Plan::of(&request(&[rename(1, "c"), rename(2, "a")]).operations, None);
    assert_eq!(plan.next_wave(), [Ready::Run(0), Ready::Run(1)]);
    plan.settle(0, Settled::Applied);
    plan.settle(1, Settled::NameTaken);
    assert_eq!(plan.next_wave(), [Ready::Run(1)]);
    plan.settle(1, Settled::NameTaken);
    assert!(plan.next_wave().is_empty());
}

#[test]
fn no_more_is_begun_than_errors_are_allowed() {
    let operations: Vec<Value> = (0..6).map(|n| user(&n.to_string(), &n.to_string())).collect();
    let mut plan = Plan::of(&request(&operations).operations, Some(2));
    assert_eq!(plan.next_wave(), [Ready::Run(0), Ready::Run(1)]);
    plan.settle(0, Settled::Applied);
    plan.settle(1, Settled::Failed);
    assert_eq!(plan.next_wave(), [Ready::Run(2)]);
    plan.settle(2, Settled::Failed);
    assert!(plan.next_wave().is_empty());
}

#[test]
fn references_become_ids_and_nothing_else_changes() {
    let id = ResourceId(uuid::Uuid::from_u128(7));
    let mut sent = json!({ "members": [{ "value": "bulkId:a", "type": "User" }], "displayName": "bulk" });
    resolve(&mut sent, &|bulk_id| (bulk_id == "a").then_some(id)).unwrap();
    assert_eq!(sent, json!({ "members": [{ "value": id.to_string(), "type": "User" }], "displayName": "bulk" }));
    assert_eq!(resolve(&mut json!(["BulkID:b"]), &|_| None).unwrap_err().status, 409);
}

#[test]
fn an_answer_has_a_status_for_each_operation_and_an_error_for_each_refusal() {
    let results = [
        BulkResult {
            method: "POST".to_owned(),
            bulk_id: Some("a".to_owned()),
            location: Some("https://scim.example.com/scim/v2/acme/Users/1".to_owned()),
            version: Some(Version::FIRST),
            status: Ok(201),
        },
        BulkResult {
            method: "POST".to_owned(),
            bulk_id: Some("b".to_owned()),
            location: None,
            version: None,
            status: Err(ScimError::uniqueness("userName")),
        },
    ];
    let detail = "another resource has this userName already; values of userName are unique";
    assert_eq!(
        serde_json::to_value(BulkResponse(&results)).unwrap(),
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkResponse"],
            "Operations": [
                { "location": "https://scim.example.com/scim/v2/acme/Users/1", "method": "POST", "bulkId": "a",
                  "version": "W/\"1\"", "status": "201" },
                { "method": "POST", "bulkId": "b", "status": "409",
                  "response": { "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": "409",
                                "scimType": "uniqueness", "detail": detail } },
            ],
        })
    );
}

/// A request of up to 12 operations that refer to each other as they like, and which of them a server would refuse.
fn any_request() -> impl Strategy<Value = (Vec<Value>, Vec<bool>, Option<usize>)> {
    let names = || prop::sample::select(vec!["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"]);
    let operation = prop_oneof![
        3 => (names(), prop::collection::vec(names(), 0..4)).prop_map(|(id, needs)| group(id, &needs)),
        2 => (names(), names()).prop_map(|(id, name)| user(id, name)),
        1 => (1_u128..4, names()).prop_map(|(number, name)| change("PUT", number, &json!({ "userName": name }))),
        1 => (1_u128..4, names()).prop_map(|(number, needed)| change("PATCH", number, &json!([format!("bulkId:{needed}")]))),
        1 => names().prop_map(|id| json!({ "method": "DELETE", "path": format!("/Groups/bulkId:{id}") })),
    ];
    let refused = prop::collection::vec(prop::bool::weighted(0.2), 12);
    (prop::collection::vec(operation, 0..12), refused, prop::option::weighted(0.3, 1_usize..4))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn everything_is_done_once_and_nothing_before_what_it_needs((operations, refused, fail_on_errors) in any_request()) {
        let request = request(&operations);
        let creator = |bulk_id: &str| request.operations.iter().position(|operation| {
            operation.bulk_id.as_deref() == Some(bulk_id) && matches!(operation.action, Ok(Action::Create { .. }))
        });
        let mut plan = Plan::of(&request.operations, fail_on_errors);
        let (mut applied, mut failed, mut retried) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        loop {
            let wave = plan.next_wave();
            if wave.is_empty() {
                break;
            }
            let together: BTreeSet<usize> = wave.iter().map(|ready| match ready {
                Ready::Run(index) | Ready::Refused(index, _) => *index,
            }).collect();
            let mut errors = 0;
            for ready in wave {
                match ready {
                    Ready::Refused(index, _) => {
                        prop_assert!(failed.insert(index) && !applied.contains(&index));
                        errors += 1;
                    }
                    Ready::Run(index) => {
                        prop_assert!(!failed.contains(&index) && !applied.contains(&index));
                        let body = request.operations[index].action.as_ref().unwrap().body();
                        for needed in body.into_iter().flat_map(|body| &body.references) {
                            let needed = creator(needed).unwrap();
                            prop_assert!(applied.contains(&needed) || together.contains(&needed));
                        }
                        if refused[index] {
                            plan.settle(index, if index % 2 == 0 { Settled::NameTaken } else { Settled::Failed });
                            errors += 1;
                            retried.insert(index);
                        } else {
                            plan.settle(index, Settled::Applied);
                            applied.insert(index);
                        }
                    }
                }
            }
            let orphans = plan.take_back();
            prop_assert!(orphans.is_empty() || errors > 0);
            for index in orphans {
                prop_assert!(applied.remove(&index) && failed.insert(index));
            }
        }
        for index in retried {
            prop_assert!(!applied.contains(&index));
            failed.insert(index);
        }
        // Without a limit nothing is left over; with one, no more was left than it stopped.
        let done = applied.len() + failed.len();
        prop_assert!(done == operations.len() || fail_on_errors.is_some_and(|most| failed.len() >= most));
        // Nothing that was applied refers to what was not.
        for index in &applied {
            let body = request.operations[*index].action.as_ref().unwrap().body();
            for needed in body.into_iter().flat_map(|body| &body.references) {
                prop_assert!(applied.contains(&creator(needed).unwrap()));
            }
        }
    }

    #[test]
    fn no_bytes_make_reading_panic(json in crate::attributes::any_json(), cut in 0_usize..200) {
        let sent = body(&[json]).to_string();
        for text in [sent.as_bytes(), sent.as_bytes().get(..cut).unwrap_or_default()] {
            if let Ok(request) = BulkRequest::read(text, LIMITS) {
                let mut plan = Plan::of(&request.operations, Some(1));
                plan.next_wave();
            }
        }
    }
}
