//! Everything there is, once all is at rest: by list, and by id.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::http::{Http, Reply, Request, shown};
use crate::history::{History, Operation, Sight, Snapshot};

/// How many resources a page holds.
const PAGE: usize = 200;
/// How many reads are under way at a time.
const AT_ONCE: usize = 16;

/// Reads all users and groups by list, and each id that was ever seen by GET: what was deleted must be 404. It is to be
/// called when nothing is under way any more; an answer other than 200 and 404 ends the test.
pub(crate) async fn snapshot(base_url: &str, token: &str, history: &History) -> Snapshot {
    let http = Http::new(&[base_url.to_owned()], token);
    let mut snapshot = Snapshot::default();
    let listed = [list(&http, "/Users").await, list(&http, "/Groups").await].concat();
    let (mut users, mut groups) = ids(history);
    for sight in listed {
        match sight {
            Sight::User(user) => {
                users.insert(user.id.clone());
                snapshot.listed_users.push(user);
            }
            Sight::Group(group) => {
                groups.insert(group.id.clone());
                snapshot.listed_groups.push(group);
            }
        }
    }
    let user = |sight| if let Sight::User(user) = sight { Some(user) } else { None };
    let group = |sight| if let Sight::Group(group) = sight { Some(group) } else { None };
    snapshot.read_users = each(&http, "/Users", users).await.map(|(id, sight)| (id, sight.and_then(user))).collect();
    snapshot.read_groups =
        each(&http, "/Groups", groups).await.map(|(id, sight)| (id, sight.and_then(group))).collect();
    snapshot
}

/// The ids of users and groups that were ever seen.
fn ids(history: &History) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut users, mut groups) = (BTreeSet::new(), BTreeSet::new());
    for attempt in &history.attempts {
        for sight in attempt.shown() {
            match sight {
                Sight::User(user) => users.insert(user.id.clone()),
                Sight::Group(group) => groups.insert(group.id.clone()),
            };
        }
        if let Operation::AddMember { user, .. } = &attempt.operation {
            users.insert(user.clone());
        }
    }
    (users, groups)
}

async fn list(http: &Http, path: &str) -> Vec<Sight> {
    let mut all = Vec::new();
    loop {
        let page = format!("{path}?startIndex={}&count={PAGE}", all.len() + 1);
        let body = get(http, page).await.unwrap_or_else(|| panic!("no list of {path}"));
        let resources = shown(&body);
        let more = !resources.is_empty();
        all.extend(resources);
        if !more || body["totalResults"].as_u64().is_none_or(|total| all.len() as u64 >= total) {
            return all;
        }
    }
}

async fn each(http: &Http, path: &str, ids: BTreeSet<String>) -> impl Iterator<Item = (String, Option<Sight>)> + use<> {
    let reads = stream::iter(ids).map(|id| async {
        let body = get(http, format!("{path}/{id}")).await;
        (id, body.and_then(|body| shown(&body).pop()))
    });
    reads.buffer_unordered(AT_ONCE).collect::<BTreeMap<_, _>>().await.into_iter()
}

/// The body; none for 404.
async fn get(http: &Http, path: String) -> Option<Value> {
    match http.send(0, Request::new(Method::GET, path.as_str()), None).await {
        Reply::Answered(StatusCode::OK, body) => Some(body),
        Reply::Answered(StatusCode::NOT_FOUND, _) => None,
        Reply::Answered(status, body) => panic!("at rest, GET {path} answered {status}: {body}"),
        Reply::NotSent => panic!("at rest, GET {path} found no server"),
        Reply::Lost(why) => panic!("at rest, GET {path} got no answer: {why}"),
    }
}
