//! PATCH against a slow and obvious model of RFC 7644 §3.5.2 over plain JSON, on random resources and operations made from
//! the schema's tables.

mod draw;
mod members;
mod model;

use proptest::prelude::*;
use protocol::scim::attributes::Attributes;
use protocol::scim::patch::PatchRequest;
use protocol::scim::resource_type::ResourceType;
use serde_json::{Map, Value, json};

use draw::Draw;
use model::{Operation, Verb};

use crate::values::{id, patch};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A user that is reached by operations that add.
fn before(draw: &mut Draw) -> Map<String, Value> {
    let user = Map::from_iter([("userName".to_owned(), json!("u"))]);
    (0..draw.below(8)).fold(user, |user, _| {
        let operation = Operation { verb: Verb::Add, ..draw.operation() };
        model::apply(&user, &[operation]).unwrap_or(user)
    })
}

fn request(operations: &[Operation]) -> Value {
    let operations: Vec<Value> = operations.iter().map(Operation::to_json).collect();
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations })
}

fn primaries(values: &Value) -> usize {
    values.as_array().into_iter().flatten().filter(|value| value["primary"] == json!(true)).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_patch_does_what_the_standard_says(choices in prop::collection::vec(any::<u16>(), 0..160)) {
        let mut draw = Draw::new(choices);
        let before = before(&mut draw);
        let operations: Vec<Operation> = (0..=draw.below(4)).map(|_| draw.operation()).collect();
        let body = request(&operations);
        let stored = Attributes::from_stored(before.clone());

        let done = PatchRequest::parse(ResourceType::User, body.clone()).and_then(|request| request.apply(&stored));
        let expected = model::apply(&before, &operations);
        let shown = || format!("{:#} on {:#}", body["Operations"], json!(before));
        match (done, expected) {
            (Ok(done), Ok(expected)) => {
                prop_assert_eq!(done.as_map(), &expected, "{}", shown());
                prop_assert!(done.as_map().values().all(|values| primaries(values) <= 1), "{}", shown());
            }
            (done, expected) => prop_assert_eq!(done.is_ok(), expected.is_ok(), "{:?} {}", done, shown()),
        }
        prop_assert_eq!(stored.as_map(), &before, "a PATCH is made on a copy");
    }

    #[test]
    fn the_same_patch_again_is_seen_to_change_nothing(choices in prop::collection::vec(any::<u16>(), 0..80)) {
        let mut draw = Draw::new(choices);
        let before = Attributes::from_stored(before(&mut draw));
        let operation = draw.operation();
        // A filter may select other values once its own have changed.
        prop_assume!(!operation.has_filter() && !operation.overlaps());
        let body = request(&[operation]);
        let shown = || format!("{:#} on {before:?}", body["Operations"]);
        let Ok(request) = PatchRequest::parse(ResourceType::User, body.clone()) else { return Ok(()) };
        let Ok(once) = request.apply(&before) else { return Ok(()) };
        if let Ok(twice) = request.apply(&once) {
            prop_assert_eq!(twice, once, "{}", shown());
        }
    }

    #[test]
    fn members_end_as_if_each_operation_was_done_in_turn(
        before in members::any_set(),
        operations in prop::collection::vec(members::any_operation(), 1..6),
    ) {
        let body: Vec<Value> = operations.iter().map(members::Operation::to_json).collect();
        let edit = patch(ResourceType::Group, &json!(body).to_string()).unwrap().member_delta();
        prop_assert!(edit.add.is_disjoint(&edit.remove));
        let mut expected = before.clone();
        for operation in &operations {
            operation.apply(&mut expected);
        }
        let expected = expected.into_iter().map(|member| id(member).to_string()).collect();
        prop_assert_eq!(members::edited(&before, &edit), expected, "{:?}", operations);
    }
}
