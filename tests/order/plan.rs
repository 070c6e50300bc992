//! Who takes part in a run, and what is asked of them: many changes of few resources, by a seed.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use uuid::Uuid;

use super::ledger::Ledger;
use super::model::{Content, Resource};
use super::request::{Edit, Kind, Request};
use crate::harness::scim::Scim;

/// The resources of a run.
pub(crate) struct Cast {
    /// Users that many change at once; the last one is deleted on the way.
    pub(super) hot_users: Vec<Uuid>,
    /// Groups that many change at once.
    pub(super) hot_groups: Vec<Uuid>,
    /// A group whose members are deleted.
    pub(super) roster: Uuid,
    /// Groups with the same members, which are deleted at the same time.
    teams: Vec<Uuid>,
    /// The members of all these.
    leavers: Vec<Uuid>,
    /// Members of the hot groups: some are users, some are not known yet.
    members: Vec<Uuid>,
    /// What everybody was created as.
    pub(super) contents: BTreeMap<Uuid, Content>,
}

impl Cast {
    /// Creates all resources, and has them answered.
    pub(crate) async fn create(scim: &Scim) -> Self {
        let mut contents = BTreeMap::new();
        let mut create = async |kind: Kind, name: &str, members: &[Uuid]| {
            let members = members.iter().copied().collect();
            let content = Content { name: name.to_owned(), active: true, members, ..Content::default() };
            let id = scim.post(&format!("/{kind:?}s"), &content.body(kind)).await.expect(201).id().parse().unwrap();
            contents.insert(id, content);
            id
        };
        let (mut hot_users, mut leavers, mut members, mut hot_groups) = (vec![], vec![], vec![], vec![]);
        for number in 0..2 {
            hot_users.push(create(Kind::User, &format!("hot-{number}"), &[]).await);
            members.push(create(Kind::User, &format!("member-{number}"), &[]).await);
            members.push(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number));
            hot_groups.push(create(Kind::Group, &format!("Group {number}"), &[]).await);
        }
        for number in 0..24 {
            leavers.push(create(Kind::User, &format!("leaver-{number}"), &[]).await);
        }
        let roster = create(Kind::Group, "Roster", &leavers).await;
        let mut teams = Vec::new();
        for number in 0..12 {
            teams.push(create(Kind::Group, &format!("Passing {number}"), &leavers).await);
        }
        Self { hot_users, hot_groups, roster, teams, leavers, members, contents }
    }

    /// Everybody.
    pub(crate) fn all(&self) -> impl Iterator<Item = Uuid> {
        self.contents.keys().copied()
    }

    /// A resource as the provider sees it, with the rows of its members.
    pub(super) async fn read(&self, scim: &Scim, ledger: &Ledger, id: Uuid) -> Option<Resource> {
        let kind = self.kind(id);
        let answer = scim.get(&kind.path(id)).await;
        if answer.status == 404 {
            return None;
        }
        let body = answer.expect(200).body;
        let (members, member_count) = ledger.members(id).await;
        let live = members.iter().filter(|id| self.contents.contains_key(id)).map(Uuid::to_string).collect();
        assert_eq!(shown_members(&body), live, "the members that the provider sees are those that exist");
        let version = body["meta"]["version"].as_str()?.trim_matches(['W', '/', '"']).parse().unwrap();
        let content = Content::read(kind, &body);
        Some(Resource { content: Content { members, ..content }, version, member_count })
    }

    fn kind(&self, id: Uuid) -> Kind {
        if self.hot_groups.contains(&id) || self.teams.contains(&id) || id == self.roster {
            Kind::Group
        } else {
            Kind::User
        }
    }
}

fn shown_members(body: &Value) -> BTreeSet<String> {
    let members = body["members"].as_array().into_iter().flatten();
    members.map(|member| member["value"].as_str().unwrap().to_owned()).collect()
}

/// So many requests, the same for the same seed.
pub(crate) fn plan(cast: &Cast, count: usize, seed: u64) -> Vec<Request> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut ends: Vec<Request> = cast.leavers.iter().flat_map(|id| leaving(*id)).collect();
    ends.extend(cast.teams.iter().map(|id| request(Kind::Group, *id, Edit::Delete)));
    ends.shuffle(&mut random);
    let mut requests: Vec<Request> = (0..count - ends.len()).map(|number| change(cast, number, &mut random)).collect();
    for request in ends {
        requests.insert(random.random_range(0..=requests.len()), request);
    }
    let late = requests.len() * 4 / 5;
    requests.insert(late, request(Kind::User, cast.hot_users[1], Edit::Delete));
    requests
}

/// A change of the profile beside the end of the account: which comes first is for the log to say.
fn leaving(id: Uuid) -> [Request; 2] {
    [request(Kind::User, id, Edit::Title(Some("leaving".to_owned()))), request(Kind::User, id, Edit::Delete)]
}

fn change(cast: &Cast, number: usize, random: &mut StdRng) -> Request {
    let which = random.random_range(0..2);
    match random.random_range(0..10) {
        0..5 => user_change(cast.hot_users[which], which, number, random),
        5..9 => group_change(cast, which, number, random),
        _ => request(Kind::Group, cast.roster, Edit::Rename(format!("Roster {number}"))),
    }
}

fn user_change(id: Uuid, which: usize, number: usize, random: &mut StdRng) -> Request {
    let few = format!("n{}", random.random_range(0..3));
    let edit = match random.random_range(0..10) {
        0..3 => Edit::Title(Some(format!("title {number}"))),
        3 => Edit::Title(None),
        4..6 => Edit::Nickname(Some(few)),
        6 => Edit::Active(true),
        7 | 8 => Edit::Active(false),
        _ => Edit::Replace(Content { name: format!("hot-{which}"), nickname: Some(few), ..Content::default() }),
    };
    let if_match = random.random_bool(0.1).then(|| random.random_range(1..100));
    Request { if_match, ..request(Kind::User, id, edit) }
}

fn group_change(cast: &Cast, which: usize, number: usize, random: &mut StdRng) -> Request {
    let members: BTreeSet<Uuid> = cast.members.iter().copied().filter(|_| random.random_bool(0.5)).collect();
    let edit = match random.random_range(0..10) {
        0..3 => Edit::Rename(format!("Group {which} {number}")),
        3..6 => Edit::Join(members),
        6..9 => Edit::Leave(members),
        _ => Edit::Replace(Content { name: format!("Group {which}"), active: true, members, ..Content::default() }),
    };
    request(Kind::Group, cast.hot_groups[which], edit)
}

const fn request(kind: Kind, target: Uuid, edit: Edit) -> Request {
    Request { target, kind, edit, if_match: None }
}
