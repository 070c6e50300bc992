//! Filters and sorting: SQLite, PostgreSQL and the evaluator in memory choose the same resources, in the same order.
//!
//! Filters and resources are made up at random, from the schema tables and a few texts that databases are known to treat
//! each in its own way. The same seed makes the same ones.

mod dice;
mod population;
mod question;
pub(crate) mod walk;

use std::cmp::Ordering;

use futures::{StreamExt, stream};
use protocol::id::ResourceId;
use protocol::message::query::{ListResources, ResourcePage, TypedQuery};
use protocol::scim::filter::{Filter, TypeFilter};
use protocol::scim::list::{Include, Page, Paging};
use protocol::scim::name::CanonicalName;
use protocol::scim::path::AttributePath;
use protocol::scim::projection::Projection;
use protocol::scim::resource_type::ResourceType;
use protocol::scim::sort::Sort;
use serde_json::Value;

use crate::test_database::{TestDatabase, on_both};
use dice::Dice;
use population::{BASE_URL, extensions};

const SEED: u64 = 7644;
const OF_USERS: usize = 6_000;
const OF_GROUPS: usize = 4_000;
/// How many questions are asked at a time.
const AT_A_TIME: usize = 6;

/// A resource as it is compared in memory.
struct Known {
    id: ResourceId,
    rendered: Value,
}

async fn known(db: &TestDatabase, kind: ResourceType) -> Vec<Known> {
    let resources = db.ask("acme", list(kind, None, None)).await.resources;
    let complete = Projection::complete(extensions());
    let render = |resource: &protocol::scim::resource::Resource| Known {
        id: resource.id,
        rendered: serde_json::to_value(resource.render(BASE_URL, &complete)).unwrap(),
    };
    resources.iter().map(render).collect()
}

fn list(resource_type: ResourceType, filter: Option<Filter>, sort: Option<Sort>) -> ListResources {
    let lists = vec![TypeFilter { resource_type, filter }];
    let paging = Paging::Index(Page::new(None, None));
    ListResources { lists, base_url: BASE_URL.to_owned(), sort, paging, joined: Include::ALL }
}

async fn found(db: &TestDatabase, query: ListResources) -> Result<Vec<ResourceId>, String> {
    // What is compared is which resources match: their members need not be read for each question.
    let query = ListResources { joined: Include::NONE, ..query };
    let reply = ListResources::reply(db.answer("acme", &query.into()).await);
    let ResourcePage { total, resources, .. } = reply.map_err(|none| format!("{none:?}"))?;
    assert_eq!(u64::try_from(resources.len()).unwrap(), total);
    Ok(resources.iter().map(|resource| resource.id).collect())
}

async fn agree(db: &TestDatabase, kind: ResourceType, count: usize) {
    let known = known(db, kind).await;
    let mut dice = Dice::of(SEED ^ u64::try_from(count).unwrap());
    let questions: Vec<(String, Filter)> = (0..count).map(|_| question::of(&mut dice, kind, &known)).collect();
    let matches_some = questions.iter().filter(|(_, filter)| known.iter().any(|one| filter.matches(&one.rendered)));
    assert!(matches_some.count() > count / 4, "most filters should match somebody");
    let answers = stream::iter(questions).map(async |(text, filter)| {
        let wanted: Vec<ResourceId> =
            known.iter().filter(|one| filter.matches(&one.rendered)).map(|one| one.id).collect();
        let database = if db.is_postgres() { "PostgreSQL" } else { "SQLite" };
        match found(db, list(kind, Some(filter), None)).await {
            Ok(found) if found == wanted => None,
            other => Some(format!("{database}: {text}\n  in memory {wanted:?}\n  in SQL    {other:?}")),
        }
    });
    let differences: Vec<String> = answers.buffer_unordered(AT_A_TIME).filter_map(async |one| one).collect().await;
    assert!(
        differences.is_empty(),
        "{} of {count} differ:\n{}",
        differences.len(),
        differences[..3.min(differences.len())].join("\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_filters_choose_the_same_in_both_databases_and_in_memory() {
    on_both(async |db| {
        population::fill(db).await;
        agree(db, ResourceType::User, OF_USERS).await;
        agree(db, ResourceType::Group, OF_GROUPS).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attribute_sorts_as_in_memory() {
    on_both(async |db| {
        population::fill(db).await;
        for kind in ResourceType::ALL {
            let known = known(db, kind).await;
            for path in question::sortable(kind) {
                for order in ["ascending", "descending"] {
                    let sort = Sort::parse(&extensions(), &[kind], &path.to_string(), Some(order)).unwrap();
                    let mut wanted: Vec<_> = known.iter().map(|one| (key(&path, &one.rendered), one.id)).collect();
                    wanted.sort_by(|left, right| compared(left, right, sort.descending));
                    let wanted: Vec<ResourceId> = wanted.into_iter().map(|(_, id)| id).collect();
                    let found = found(db, list(kind, None, Some(sort))).await;
                    assert_eq!(found, Ok(wanted), "{path} {order}, PostgreSQL: {}", db.is_postgres());
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_largest_filter_that_is_taken_is_answered() {
    on_both(async |db| {
        population::fill(db).await;
        let within = format!("{}title pr{}", "not (".repeat(Filter::MAX_DEPTH - 1), ")".repeat(Filter::MAX_DEPTH - 1));
        let each = |path: &str| (0..Filter::MAX_TERMS).map(|n| format!("{path} eq \"{n}\"")).collect::<Vec<_>>();
        let (members, groups) = (each("members.display"), each("groups.display"));
        for (kind, text) in [
            (ResourceType::User, within),
            (ResourceType::User, groups.join(" or ")),
            (ResourceType::User, groups.join(" and ")),
            (ResourceType::Group, members.join(" or ")),
            (ResourceType::Group, members.join(" and ")),
            (ResourceType::Group, format!("not ({})", members.join(" or "))),
        ] {
            let filter = Filter::parse(kind, &text).unwrap();
            found(db, list(kind, Some(filter), None)).await.unwrap();
        }
    })
    .await;
}

/// By what a resource is sorted: of several values the primary one, else the first (RFC 7644 §3.4.2.3).
fn key(path: &AttributePath, rendered: &Value) -> Option<Value> {
    let container = path.extension().map_or(Some(rendered), |extension| rendered.get(extension.id))?;
    let value = match container.get(path.attribute().name)? {
        Value::Array(values) => {
            let primary = values.iter().find(|value| value.get("primary") == Some(&Value::Bool(true)));
            primary.or_else(|| values.first())?
        }
        value => value,
    };
    let value = match (path.sub_attribute(), value) {
        (Some(sub), value) => value.get(sub.name)?,
        (None, Value::Object(parts)) => parts.get("value")?,
        (None, value) => value,
    };
    let definition = path.compared()?;
    let value = value.as_array().map_or(Some(value), |values| values.first())?;
    Some(match value {
        Value::String(text) if definition.kind == protocol::scim::schema::Kind::DateTime => {
            chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis().into()
        }
        Value::String(text) if !definition.case_exact => CanonicalName::of(text).as_str().into(),
        value => value.clone(),
    })
}

fn compared(left: &(Option<Value>, ResourceId), right: &(Option<Value>, ResourceId), descending: bool) -> Ordering {
    let ordering = match (&left.0, &right.0) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(Value::Bool(left)), Some(Value::Bool(right))) => left.cmp(right),
        (Some(Value::String(left)), Some(Value::String(right))) => left.as_bytes().cmp(right.as_bytes()),
        (Some(left), Some(right)) => left.as_f64().unwrap().total_cmp(&right.as_f64().unwrap()),
    };
    (if descending { ordering.reverse() } else { ordering }).then(left.1.cmp(&right.1))
}
