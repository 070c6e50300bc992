//! One person in one outage: an old request whose client gives up, a newer one that is acknowledged, and what is there
//! in the end.

use std::time::Duration;

use serde_json::Value;

use super::change::{Case, Change, Subject, person};
use crate::harness::scim::{Answer, Scim, group, send, try_send};

/// How the client's hang-up looks to the ingress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HangUp {
    /// The connection ends.
    Seen,
    /// A proxy keeps the connection.
    Hidden,
}

/// A person, and how the requests go.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) case: Case,
    pub(super) hang_up: HangUp,
    /// By which ways the old request and the newer ones go.
    pub(super) old_way: Scim,
    pub(super) newer_way: Scim,
    subject: Subject,
    /// The last newer change that was acknowledged, and how the first one that was not was answered.
    acknowledged: Option<Change>,
    refused: Option<String>,
}

impl Round {
    pub(super) fn new(case: Case, hang_up: HangUp, ways: (Scim, Scim), name: String) -> Self {
        let (old_way, newer_way) = ways;
        let subject = Subject { name, ..Subject::default() };
        Self { case, hang_up, old_way, newer_way, subject, acknowledged: None, refused: None }
    }

    /// Makes the person, and the group: as the old request would change them, or as it would leave them, by turns.
    pub(super) async fn prepare(&mut self, turn: usize) {
        let scim = &self.newer_way;
        let active = match self.case.old {
            Change::Patch(active) | Change::Put(active) if !self.case.newer.is_empty() => {
                active == turn.is_multiple_of(2)
            }
            _ => true,
        };
        if self.case.old != Change::Create {
            self.subject.user = scim.post("/Users", &person(&self.subject.name, active)).await.expect(201).id();
        }
        if self.case.old.is_about_a_group() {
            let user = self.subject.user.clone();
            let members: &[&str] = if self.case.old == Change::Member(false) { &[&user] } else { &[] };
            let group = group(&format!("first {}", self.subject.name), members);
            self.subject.group = scim.post("/Groups", &group).await.expect(201).id();
        }
    }

    /// Sends the old request and gives up after some time. The answer, which must not come.
    pub(super) async fn abandon(&self, patience: Duration) -> Option<Answer> {
        try_send(self.case.old.request(&self.old_way, &self.subject).timeout(patience)).await
    }

    /// Sends the newer ones, each after the one before it was answered.
    pub(super) async fn overtake(&mut self) {
        for change in self.case.newer {
            let answer = send(change.request(&self.newer_way, &self.subject)).await;
            if self.was_answered_to_the_proxy(*change, &answer) {
                let found = self.newer_way.find("/Users", &format!("userName eq \"{}\"", self.subject.name)).await;
                found[0]["id"].as_str().unwrap().clone_into(&mut self.subject.user);
                self.acknowledged = Some(*change);
                continue;
            }
            if !(200..300).contains(&answer.status) {
                self.refused = Some(format!("{change:?} was answered {} {}", answer.status, answer.body["detail"]));
                return;
            }
            if *change == Change::Create {
                self.subject.user = answer.id();
            }
            self.acknowledged = Some(*change);
        }
    }

    /// The first create was done first, and its answer went to the proxy: nobody can know that nobody reads it there. A
    /// provider looks the user up then.
    fn was_answered_to_the_proxy(&self, change: Change, answer: &Answer) -> bool {
        self.hang_up == HangUp::Hidden && change == Change::Create && answer.status == 409
    }

    /// What is wrong, if anything is.
    pub(super) async fn verdict(&self) -> Option<String> {
        let found = self.newer_way.find("/Users", &format!("userName eq \"{}\"", self.subject.name)).await;
        // Both were under way, and the deletion came first: then there was nobody to change.
        let deleted_first = self.case.old == Change::Delete
            && self.refused.as_deref().is_some_and(|refused| refused.contains("was answered 404"));
        if deleted_first {
            return (!found.is_empty()).then(|| format!("the user was not found, and is there: {found:?}"));
        }
        if let Some(refused) = &self.refused {
            return Some(refused.clone());
        }
        match self.acknowledged.unwrap_or(self.case.old) {
            Change::Patch(active) | Change::Put(active) => access(&found, Some(active)),
            Change::Delete => access(&found, None),
            Change::Create => access(&found, Some(true)),
            Change::Title(title) => differs("title", &found[0]["title"], title),
            Change::Rename(name) => {
                let shown = self.group().await;
                differs("displayName", &shown["displayName"], &format!("{name} {}", self.subject.name))
            }
            Change::Member(member) => {
                let shown = self.group().await["members"].as_array().map_or(0, Vec::len);
                (shown != usize::from(member)).then(|| format!("the group has {shown} members"))
            }
        }
    }

    async fn group(&self) -> Value {
        self.newer_way.get(&format!("/Groups/{}", self.subject.group)).await.expect(200).body
    }
}

/// One user with this state, or nobody.
fn access(found: &[Value], wanted: Option<bool>) -> Option<String> {
    let shown: Vec<Option<bool>> = found.iter().map(|user| user["active"].as_bool()).collect();
    let right = shown == wanted.map(Some).into_iter().collect::<Vec<_>>();
    (!right).then(|| format!("wanted active {wanted:?}, and {} users have it {shown:?}", shown.len()))
}

fn differs(attribute: &str, shown: &Value, wanted: &str) -> Option<String> {
    (shown != wanted).then(|| format!("{attribute} is {shown}, wanted {wanted:?}"))
}
