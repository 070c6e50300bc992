//! One logical client: one request at a time, and always something else next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::choice::{self, Choice};
use super::http::{Http, Request};
use super::population::{Person, Population};
use crate::history::{Attribute, Operation, Outcome, Recorder, Sight, Values};

mod request;

/// The most users that a client has for itself.
const OWN: usize = 6;
/// How many names all clients want at the same time.
const CONTESTED_NAMES: u32 = 2;
/// How many of its adds a client remembers, to remove them again.
const ADDS: usize = 4;
/// The pause after a request that found no server: nobody learns anything from asking faster.
const NO_SERVER: Duration = Duration::from_millis(50);

/// How long an impatient client waits, in milliseconds.
const PATIENCE: std::ops::Range<u64> = 150..1000;
/// How long after it gave up it asks for the contrary, in milliseconds: what it gave up is not to take effect after that.
const SECOND_THOUGHTS: std::ops::Range<u64> = 3100..4000;
/// When it looks again after that was answered: what it gave up may be on its way for as long as a link is stalled.
const LOOKS_AGAIN: [Duration; 3] = [Duration::ZERO, Duration::from_secs(4), Duration::from_secs(4)];

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    process: u32,
    impatient: bool,
    /// Where it asked last.
    server: usize,
    /// Cancelled when no further request is to begin.
    until: CancellationToken,
    random: StdRng,
    http: Http,
    population: Arc<Population>,
    recorder: Arc<Recorder>,
    own: Vec<Person>,
    /// Names of deleted users, and of creates whose outcome is unknown: to be created or found again.
    names: Vec<String>,
    /// Group and user of its last adds.
    added: VecDeque<(String, String)>,
}

impl Client {
    pub(super) fn new(
        number: usize,
        seed: u64,
        http: Http,
        population: Arc<Population>,
        recorder: Arc<Recorder>,
    ) -> Self {
        let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number as u64);
        let (process, random) = (population.next_process(), StdRng::seed_from_u64(seed));
        let (own, names, added) = (Vec::new(), Vec::new(), VecDeque::new());
        let until = CancellationToken::new();
        Self { process, impatient: false, server: 0, until, random, http, population, recorder, own, names, added }
    }

    /// The same, who gives up after a moment.
    pub(super) fn impatient(self) -> Self {
        Self { impatient: true, ..self }
    }

    /// One request after the other.
    pub(super) async fn run(mut self, pause: Duration, until: CancellationToken) {
        self.until = until;
        while !self.until.is_cancelled() {
            self.step().await;
            self.pause(pause).await;
        }
    }

    /// Ends early when no further request is to begin.
    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = sleep(pause) => {}
            () = self.until.cancelled() => {}
        }
    }

    async fn step(&mut self) {
        if self.impatient && self.random.random_bool(0.5) {
            return self.change_its_mind().await;
        }
        match choice::next(&mut self.random) {
            Choice::CreateUser => self.create_user().await,
            Choice::PatchUser => self.patch_user().await,
            Choice::ReplaceUser => self.replace_user().await,
            Choice::Deactivate => self.set_active(false).await,
            Choice::Reactivate => self.set_active(true).await,
            Choice::DeleteUser => self.delete_user().await,
            Choice::CreateGroup => self.create_group().await,
            Choice::RenameGroup => self.rename_group().await,
            Choice::DeleteGroup => self.delete_group().await,
            Choice::AddMember => self.add_member().await,
            Choice::RemoveMember => self.remove_member().await,
            Choice::ReadUser => self.read_user().await,
            Choice::ReadGroup => self.read_group().await,
            Choice::FindUsers => self.find_users().await,
        }
    }

    /// Fills an empty place among the shared users first, or makes one of its own.
    async fn create_user(&mut self) {
        let slot = self.population.empty_person(&mut self.random);
        if slot.is_none() && self.own.len() >= OWN {
            return self.delete_user().await;
        }
        let (user_name, marker) = (self.user_name(), self.population.unique("ext"));
        let values = self.values(&Attribute::ALL);
        let request = request::create_user(&user_name, &marker, &values);
        let operation = Operation::CreateUser { user_name: user_name.clone(), marker, values };
        match self.attempt(operation, request).await {
            Outcome::Ok { shown } => {
                for person in shown.into_iter().filter_map(person) {
                    match slot {
                        Some(slot) => self.population.share_person(slot, person),
                        None => self.own.push(person),
                    }
                }
            }
            Outcome::Unknown { .. } => self.names.push(user_name),
            Outcome::Fail { .. } | Outcome::Pending => {}
        }
    }

    async fn patch_user(&mut self) {
        let Some(person) = self.anybody() else { return };
        let attribute = Attribute::ALL[self.random.random_range(0..Attribute::ALL.len())];
        let values = self.values(&[attribute]);
        let request = request::patch_user(&person.id, attribute, &values[&attribute], self.random.random());
        self.attempt(Operation::UpdateUser { user: person.id, values }, request).await;
    }

    async fn replace_user(&mut self) {
        let Some(person) = self.anybody() else { return };
        let values = self.values(&Attribute::ALL);
        let request = request::replace_user(&person, &values);
        self.attempt(Operation::UpdateUser { user: person.id, values }, request).await;
    }

    async fn set_active(&mut self, active: bool) {
        let Some(person) = self.anybody() else { return };
        let request = request::set_active(&person.id, active, self.random.random());
        let user = person.id;
        self.attempt(Operation::SetActive { user: user.clone(), active }, request).await;
        if self.random.random_bool(0.3) {
            self.read(Operation::ReadUser { user }).await;
        }
    }

    /// Sets `active` of somebody whom nobody else changes; if it gives up, it sets the contrary later, and waits.
    async fn change_its_mind(&mut self) {
        if self.own.is_empty() {
            return self.create_user().await;
        }
        let user = self.own[self.random.random_range(0..self.own.len())].id.clone();
        let (active, entra) = (self.random.random(), self.random.random());
        let set =
            |active| (Operation::SetActive { user: user.clone(), active }, request::set_active(&user, active, entra));
        let (operation, request) = set(active);
        if !matches!(self.attempt(operation, request).await, Outcome::Unknown { .. }) {
            return;
        }
        sleep(Duration::from_millis(self.random.random_range(SECOND_THOUGHTS))).await;
        let (operation, request) = set(!active);
        self.attempt_within(operation, request, None).await;
        for pause in LOOKS_AGAIN {
            self.pause(pause).await;
            self.attempt_within(Operation::ReadUser { user: user.clone() }, request::get("/Users", &user), None).await;
        }
    }

    /// Of its own mostly; a shared one now and then, while others still change it.
    async fn delete_user(&mut self) {
        let own = !self.own.is_empty() && self.random.random_bool(0.8);
        let person = if own {
            Some(self.own.swap_remove(self.random.random_range(0..self.own.len())))
        } else {
            self.population.person(&mut self.random)
        };
        let Some(Person { id: user, user_name, .. }) = person else { return };
        self.population.forget(&user);
        self.attempt(Operation::DeleteUser { user: user.clone() }, request::delete("/Users", &user)).await;
        self.names.push(user_name);
        if self.random.random_bool(0.5) {
            self.read(Operation::ReadUser { user }).await;
        }
    }

    async fn create_group(&mut self) {
        let Some(slot) = self.population.empty_group(&mut self.random) else { return self.rename_group().await };
        let contested = self.random.random_bool(0.2);
        let name = if contested { "Team of all".to_owned() } else { self.population.unique("Team") };
        let marker = self.population.unique("ext");
        let request = request::create_group(&name, &marker);
        if let Outcome::Ok { shown } = self.attempt(Operation::CreateGroup { name, marker }, request).await
            && let [Sight::Group(group)] = shown.as_slice()
        {
            self.population.share_group(slot, group.id.clone());
        }
    }

    async fn rename_group(&mut self) {
        let Some(group) = self.population.group(&mut self.random) else { return };
        let name = self.population.unique("Team");
        let request = request::rename_group(&group, &name, self.random.random());
        self.attempt(Operation::RenameGroup { group, name }, request).await;
    }

    async fn delete_group(&mut self) {
        let Some(group) = self.population.group(&mut self.random) else { return };
        self.population.forget(&group);
        self.attempt(Operation::DeleteGroup { group: group.clone() }, request::delete("/Groups", &group)).await;
        if self.random.random_bool(0.5) {
            self.read(Operation::ReadGroup { group }).await;
        }
    }

    async fn add_member(&mut self) {
        let Some(group) = self.population.group(&mut self.random) else { return };
        let Some(Person { id: user, .. }) = self.anybody() else { return };
        let request = request::add_member(&group, &user, self.random.random());
        self.attempt(Operation::AddMember { group: group.clone(), user: user.clone() }, request).await;
        self.added.push_back((group.clone(), user));
        if self.added.len() > ADDS {
            self.added.pop_front();
        }
        self.read_group_sometimes(group).await;
    }

    /// Whom it added itself mostly, else anybody.
    async fn remove_member(&mut self) {
        let added = self.random.random_bool(0.7).then(|| self.added.pop_front()).flatten();
        let Some((group, user)) = added.or_else(|| {
            let group = self.population.group(&mut self.random)?;
            Some((group, self.anybody()?.id))
        }) else {
            return;
        };
        let request = request::remove_member(&group, &user, self.random.random());
        self.attempt(Operation::RemoveMember { group: group.clone(), user }, request).await;
        self.read_group_sometimes(group).await;
    }

    async fn read_group_sometimes(&mut self, group: String) {
        if self.random.random_bool(0.3) {
            self.read(Operation::ReadGroup { group }).await;
        }
    }

    async fn read_user(&mut self) {
        let Some(Person { id: user, .. }) = self.anybody() else { return };
        self.read(Operation::ReadUser { user }).await;
    }

    async fn read_group(&mut self) {
        let Some(group) = self.population.group(&mut self.random) else { return };
        self.read(Operation::ReadGroup { group }).await;
    }

    /// Whoever is found under a name of its own, by a create whose outcome was unknown, is its own from now on.
    async fn find_users(&mut self) {
        let lost = self.random.random_bool(0.5).then(|| self.names.last().cloned()).flatten();
        let Some(user_name) = lost.clone().or_else(|| self.anybody().map(|person| person.user_name)) else { return };
        let operation = Operation::FindUsers { user_name: user_name.clone() };
        let Outcome::Ok { shown } = self.attempt(operation, request::find_users(&user_name)).await else { return };
        if lost.is_some() && self.own.len() < OWN {
            self.own.extend(shown.into_iter().filter_map(person));
        }
    }

    async fn read(&mut self, operation: Operation) {
        let request = match &operation {
            Operation::ReadUser { user } => request::get("/Users", user),
            Operation::ReadGroup { group } => request::get("/Groups", group),
            other => panic!("{} is not a read by id", other.name()),
        };
        self.attempt(operation, request).await;
    }

    async fn attempt(&mut self, operation: Operation, request: Request) -> Outcome {
        let patience = self.patience();
        self.attempt_within(operation, request, patience).await
    }

    /// Asks one of the servers and writes down what happened. After an unknown outcome the client goes on as a new
    /// process: the old one is, for all it knows, still at work.
    async fn attempt_within(&mut self, operation: Operation, request: Request, patience: Option<Duration>) -> Outcome {
        // Whoever gave up asks the next one.
        let gave_up = self.impatient && patience.is_none();
        let server = if gave_up { self.server + 1 } else { self.random.random_range(0..self.http.servers()) };
        let server = server % self.http.servers();
        self.server = server;
        let target = operation.target().map(str::to_owned);
        let begun = self.recorder.begin(self.process, operation);
        let outcome = Outcome::from(self.http.send(server, request, patience).await);
        self.recorder.settle(&begun, outcome.clone());
        match &outcome {
            Outcome::Unknown { .. } => self.process = self.population.next_process(),
            Outcome::Fail { status: None } => sleep(NO_SERVER).await,
            Outcome::Fail { status: Some(404) } => self.forget(target.as_deref()),
            Outcome::Ok { .. } | Outcome::Fail { .. } | Outcome::Pending => {}
        }
        outcome
    }

    fn patience(&mut self) -> Option<Duration> {
        self.impatient.then(|| Duration::from_millis(self.random.random_range(PATIENCE)))
    }

    fn forget(&mut self, id: Option<&str>) {
        let Some(id) = id else { return };
        self.population.forget(id);
        self.own.retain(|person| person.id != id);
    }

    /// A shared user mostly, else one of its own.
    fn anybody(&mut self) -> Option<Person> {
        if !self.own.is_empty() && self.random.random_bool(0.3) {
            return Some(self.own[self.random.random_range(0..self.own.len())].clone());
        }
        self.population.person(&mut self.random)
    }

    /// A new name, one that was deleted, or one that others want at this moment, too.
    fn user_name(&mut self) -> String {
        match self.random.random_range(0..10) {
            0..3 => self.names.pop().unwrap_or_else(|| self.population.unique("user")),
            3..5 => format!("wanted-{}", self.random.random_range(0..CONTESTED_NAMES)),
            _ => self.population.unique("user"),
        }
    }

    fn values(&self, attributes: &[Attribute]) -> Values {
        attributes.iter().map(|attribute| (*attribute, self.population.unique("v"))).collect()
    }
}

fn person(sight: Sight) -> Option<Person> {
    match sight {
        Sight::User(user) => Some(Person { id: user.id, user_name: user.user_name, marker: user.marker }),
        Sight::Group(_) => None,
    }
}
