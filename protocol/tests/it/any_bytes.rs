//! Whatever arrives, nothing panics; and what is printed reads back as the same.

use proptest::prelude::*;
use protocol::scim::filter::{CompareOp, Filter, FilterValue};
use protocol::scim::patch::{PatchPath, PatchRequest};
use protocol::scim::path::AttributePath;
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::{AttributeDefinition, Extensions, Kind, ResourceSchema};
use protocol::time::Timestamp;
use serde_json::json;

use crate::attributes::any_json;

const KINDS: [ResourceType; 2] = [ResourceType::User, ResourceType::Group];

/// Text near to filters and paths: their words in any order, between anything else.
fn near_text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => "(not|and|or|eq|NE|co|pr|gt|\\(|\\)|\\[|\\]|\\]\\.value|\\.|:|\"|\"x\"|\\\\|\\$ref|True|null|-1e9|members|emails|type)",
        1 => "urn:ietf:params:scim:schemas:extension:enterprise:2\\.0:User(:manager)?",
        1 => "\\PC{0,4}",
    ];
    let space = prop_oneof![3 => Just(" "), 1 => Just(""), 1 => Just("\t\n")];
    prop::collection::vec((word, space), 0..24)
        .prop_map(|words| words.into_iter().flat_map(|(word, space)| [word, space.to_owned()]).collect())
}

/// Every attribute and part of one that a filter can compare.
fn paths(kind: ResourceType) -> Vec<AttributePath> {
    let schema = ResourceSchema::from(kind);
    let mut texts = Vec::new();
    let mut collect = |prefix: &str, definitions: &[AttributeDefinition]| {
        for definition in definitions {
            texts.push(format!("{prefix}{}", definition.name));
            texts.extend(
                definition.sub_attributes.iter().map(|sub| format!("{prefix}{}.{}", definition.name, sub.name)),
            );
        }
    };
    collect("", kind.schema().attributes);
    for extension in schema.extensions() {
        collect(&format!("{}:", extension.id), extension.attributes);
    }
    texts.extend(["id", "externalId", "meta.created", "meta.version", "schemas"].map(str::to_owned));
    texts.iter().map(|text| AttributePath::parse(kind, text).unwrap()).collect()
}

fn comparison(path: AttributePath) -> BoxedStrategy<Filter> {
    let kind = path.compared().map(|definition| definition.kind);
    let present = Filter::Present(path.clone());
    let compare = move |ops: &'static [CompareOp], value: BoxedStrategy<FilterValue>| {
        let path = path.clone();
        let op = prop::sample::select(ops);
        (op, value).prop_map(move |(op, value)| Filter::Compare { path: path.clone(), op, value }).boxed()
    };
    let equality: &[CompareOp] = &[CompareOp::Eq, CompareOp::Ne];
    let order: &[CompareOp] =
        &[CompareOp::Eq, CompareOp::Ne, CompareOp::Gt, CompareOp::Ge, CompareOp::Lt, CompareOp::Le];
    let part: &[CompareOp] = &[CompareOp::Eq, CompareOp::Co, CompareOp::Sw, CompareOp::Ew];
    let text = "([^\\x00]|\"|\\\\|\n){0,6}".prop_map(FilterValue::String).boxed();
    let null = compare(equality, Just(FilterValue::Null).boxed());
    match kind {
        None | Some(Kind::Complex) => Just(present).boxed(),
        Some(Kind::Boolean) => {
            let boolean = any::<bool>().prop_map(FilterValue::Boolean).boxed();
            prop_oneof![Just(present), null, compare(equality, boolean)].boxed()
        }
        Some(Kind::DateTime) => {
            let time = (0..4_000_000_000_000_i64).prop_map(|millis| FilterValue::Time(Timestamp::from_millis(millis)));
            prop_oneof![Just(present), null, compare(order, time.boxed())].boxed()
        }
        Some(Kind::Binary) => prop_oneof![Just(present), null, compare(part, text)].boxed(),
        Some(Kind::Integer | Kind::Decimal) => {
            let number = any::<i64>().prop_map(|number| FilterValue::Number(number.into())).boxed();
            prop_oneof![Just(present), null, compare(order, number)].boxed()
        }
        Some(Kind::String | Kind::Reference) => {
            prop_oneof![Just(present), null, compare(order, text.clone()), compare(part, text)].boxed()
        }
    }
}

/// Comparisons joined: what the grammar makes of them is flat.
fn joined(term: BoxedStrategy<Filter>) -> BoxedStrategy<Filter> {
    term.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|filters| flat(filters, true)),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|filters| flat(filters, false)),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
    .boxed()
}

fn flat(filters: Vec<Filter>, all: bool) -> Filter {
    let each = filters.into_iter().flat_map(|filter| match filter {
        Filter::And(filters) if all => filters,
        Filter::Or(filters) if !all => filters,
        other => vec![other],
    });
    if all { Filter::And(each.collect()) } else { Filter::Or(each.collect()) }
}

/// Any filter over one kind of resource.
fn any_filter(kind: ResourceType) -> BoxedStrategy<Filter> {
    let paths = paths(kind);
    let complex: Vec<AttributePath> = paths
        .iter()
        .filter(|path| path.sub_attribute().is_none() && !path.attribute().sub_attributes.is_empty())
        .cloned()
        .collect();
    let value_path = prop::sample::select(complex).prop_flat_map(|attribute| {
        let parts: Vec<AttributePath> =
            attribute.attribute().sub_attributes.iter().map(|sub| attribute.sub(sub.name).unwrap()).collect();
        let inner = joined(prop::sample::select(parts).prop_flat_map(comparison).boxed());
        inner.prop_map(move |filter| Filter::ValuePath { attribute: attribute.clone(), filter: Box::new(filter) })
    });
    let simple = prop::sample::select(paths).prop_flat_map(comparison);
    joined(prop_oneof![3 => simple, 1 => value_path].boxed())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_text_makes_a_parser_panic(text in prop_oneof![near_text(), any::<String>()]) {
        for kind in KINDS {
            let schema = ResourceSchema::from(kind);
            if let Ok(filter) = Filter::parse(kind, &text) {
                prop_assert_eq!(Filter::parse(kind, &filter.to_string()), Ok(filter));
            }
            if let Ok(path) = PatchPath::parse(&schema, &text) {
                prop_assert_eq!(PatchPath::parse(&schema, &path.to_string()), Ok(path));
            }
            if let Ok(path) = AttributePath::parse(kind, &text) {
                prop_assert_eq!(AttributePath::parse(kind, &path.to_string()), Ok(path));
            }
        }
        let _ = Filter::parse_for_each(&Extensions::default(), &KINDS, &text);
    }

    #[test]
    fn no_json_makes_a_parser_panic(body in any_json(), path in near_text()) {
        for kind in KINDS {
            let _ = crate::values::body(kind, body.clone());
            let _ = PatchRequest::parse(kind, body.clone());
            for op in ["add", "replace", "remove"] {
                let schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"];
                let operation = json!({ "op": op, "path": path, "value": body });
                let request = json!({ "schemas": schemas, "Operations": [operation, { "op": op, "value": body }] });
                let _ = PatchRequest::parse(kind, request);
            }
        }
    }

    #[test]
    fn a_printed_filter_is_read_as_it_was(user in any_filter(ResourceType::User), group in any_filter(ResourceType::Group)) {
        for (kind, filter) in [(ResourceType::User, user), (ResourceType::Group, group)] {
            prop_assert_eq!(Filter::parse(kind, &filter.to_string()), Ok(filter.clone()), "{}", filter);
        }
    }
}
