//! In which order the operations of a bulk request are done: waves, each of what needs nothing that is not there yet.
//!
//! An operation waits for those whose bulkId it refers to, wherever they stand in the request (RFC 7644 §3.7.2). Beyond
//! that, what is seen to depend on the order of the request keeps it (§3.7: "the same stateful result"): operations on one
//! resource, operations that give one name, and creations beside changes and deletions that may free a name.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::operation::{Action, BulkOperation, NameClaim, ResourceRef};
use super::reference;
use crate::id::ResourceId;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::name::CanonicalName;
use crate::scim::resource_type::ResourceType;

/// What is done of a request, and what is next. Operations are named by their places in the request.
#[derive(Debug)]
pub struct Plan {
    steps: Vec<Step>,
    /// How many errors are allowed.
    allowed: usize,
    errors: usize,
    /// Operations that refer to each other in a circle and are done at once.
    circle: Vec<usize>,
}

/// An operation whose turn has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// It is to be done.
    Run(usize),
    /// It fails without being done.
    Refused(usize, ScimError),
}

/// How an operation that was done ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was applied.
    Applied,
    /// It was refused, or that is not known.
    Failed,
    /// It was refused because another resource has the name (409 `uniqueness`).
    NameTaken,
}

#[derive(Debug)]
struct Step {
    state: State,
    /// Why it is refused without being done.
    refusal: Option<ScimError>,
    /// Operations that refer to this one.
    dependents: Vec<usize>,
    /// How many operations that this one refers to are not applied yet.
    open: usize,
    /// Whether one of them failed.
    doomed: bool,
    resource: Option<Resource>,
    name: Option<(ResourceType, CanonicalName)>,
    turn: Option<(ResourceType, usize)>,
    /// It may get its name from an earlier operation of its own wave.
    beside_renames: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Applied,
    Failed,
}

/// The resource that an operation changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Resource {
    Known(ResourceType, ResourceId),
    CreatedBy(usize),
}

/// What an operation may do to the names of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Takes,
    Frees,
    Renames,
}

impl Plan {
    /// The plan of a request, of which no more is begun after so many errors.
    pub fn of(operations: &[BulkOperation], fail_on_errors: Option<usize>) -> Self {
        let creators = creators(operations);
        let mut steps: Vec<Step> = Vec::with_capacity(operations.len());
        let mut turns = Turns::default();
        let mut needs = Vec::new();
        for (index, operation) in operations.iter().enumerate() {
            let (step, of_step) = Step::of(index, operation, &creators, &mut turns);
            needs.extend(of_step.into_iter().map(|needed| (needed, index)));
            steps.push(step);
        }
        for (needed, index) in needs {
            if let Some(step) = steps.get_mut(needed) {
                step.dependents.push(index);
            }
        }
        Self { steps, allowed: fail_on_errors.unwrap_or(usize::MAX), errors: 0, circle: Vec::new() }
    }

    /// The next wave, in the order of the request; empty when nothing is left, or nothing more is to be begun.
    ///
    /// It holds no more operations than errors are still allowed. Each that is to run has to be [settled](Self::settle)
    /// before the next wave, and [`take_back`](Self::take_back) asked.
    pub fn next_wave(&mut self) -> Vec<Ready> {
        let room = self.allowed.saturating_sub(self.errors);
        let mut wave = self.ready(room, true);
        if wave.is_empty() {
            // A reference forward can ask for another order than that of the request: the reference decides.
            wave = self.ready(room, false);
        }
        if wave.is_empty() && room > 0 {
            self.circle = self.in_circles();
            wave = self.circle.iter().copied().map(Ready::Run).collect();
        }
        self.begin(&wave);
        wave
    }

    fn ready(&self, room: usize, in_order: bool) -> Vec<Ready> {
        let waiting = || self.steps.iter().enumerate().filter(|(_, step)| step.state == State::Waiting);
        let mut current: BTreeMap<ResourceType, usize> = BTreeMap::new();
        for (resource_type, turn) in waiting().filter_map(|(_, step)| step.turn) {
            current.entry(resource_type).and_modify(|first| *first = turn.min(*first)).or_insert(turn);
        }
        let (mut wave, mut blocked, mut claimed) = (Vec::new(), HashSet::new(), HashSet::new());
        for (index, step) in waiting() {
            if wave.len() == room {
                break;
            }
            if let Some(refusal) = step.refused() {
                wave.push(Ready::Refused(index, refusal));
                continue;
            }
            let too_early = step.turn.is_some_and(|(kind, turn)| current.get(&kind).is_some_and(|now| turn > *now))
                || step.resource.as_ref().is_some_and(|resource| blocked.contains(resource))
                || step.name.as_ref().is_some_and(|name| claimed.contains(name));
            claimed.extend(step.name.as_ref());
            if in_order && too_early && step.open == 0 && self.allowed < usize::MAX {
                // It may be the error after which nothing more is begun.
                break;
            }
            if step.open > 0 || (in_order && too_early) {
                blocked.extend(step.resource.as_ref());
            } else {
                wave.push(Ready::Run(index));
            }
        }
        wave
    }

    /// The operations that wait for each other, and those between them: what is left when each operation without a waiting one is
    /// taken away, again and again.
    fn in_circles(&self) -> Vec<usize> {
        let is_waiting = |index: &usize| self.steps.get(*index).is_some_and(|step| step.state == State::Waiting);
        let mut awaited: Vec<usize> =
            self.steps.iter().map(|step| step.dependents.iter().filter(|index| is_waiting(index)).count()).collect();
        let needs = self.needs();
        let mut inside: Vec<bool> = (0..self.steps.len()).map(|index| is_waiting(&index)).collect();
        let is_free = |index: &usize, awaited: &[usize]| awaited.get(*index) == Some(&0);
        let mut free: Vec<usize> = (0..inside.len()).filter(|index| is_free(index, &awaited)).collect();
        while let Some(index) = free.pop() {
            if let Some(inside) = inside.get_mut(index) {
                if !*inside {
                    continue;
                }
                *inside = false;
            }
            for needed in needs.get(index).into_iter().flatten() {
                if let Some(count) = awaited.get_mut(*needed) {
                    *count = count.saturating_sub(1);
                }
                if is_free(needed, &awaited) {
                    free.push(*needed);
                }
            }
        }
        (0..inside.len()).filter(|index| inside.get(*index) == Some(&true)).collect()
    }

    /// The operations that each one refers to.
    fn needs(&self) -> Vec<Vec<usize>> {
        let mut needs = vec![Vec::new(); self.steps.len()];
        for (index, step) in self.steps.iter().enumerate() {
            for dependent in &step.dependents {
                if let Some(needs) = needs.get_mut(*dependent) {
                    needs.push(index);
                }
            }
        }
        needs
    }

    fn begin(&mut self, wave: &[Ready]) {
        let mut renames = HashSet::new();
        for ready in wave {
            match ready {
                Ready::Run(index) => {
                    let Some(step) = self.steps.get_mut(*index) else { continue };
                    step.state = State::Running;
                    if let Some((kind, _)) = step.turn {
                        step.beside_renames = !renames.insert(kind) && !step.beside_renames;
                    }
                }
                Ready::Refused(index, _) => self.fail(*index),
            }
        }
    }

    /// Notes how an operation of the wave ended. A change that was refused only for its name, beside others that may just
    /// have given it up, gets a second turn.
    pub fn settle(&mut self, index: usize, settled: Settled) {
        let Some(step) = self.steps.get_mut(index) else { return };
        match settled {
            Settled::Applied => {
                step.state = State::Applied;
                for dependent in step.dependents.clone() {
                    if let Some(dependent) = self.steps.get_mut(dependent) {
                        dependent.open = dependent.open.saturating_sub(1);
                    }
                }
            }
            Settled::NameTaken if step.beside_renames && step.resource.is_some() => step.state = State::Waiting,
            Settled::Failed | Settled::NameTaken => self.fail(index),
        }
    }

    fn fail(&mut self, index: usize) {
        let Some(step) = self.steps.get_mut(index) else { return };
        step.state = State::Failed;
        self.errors = self.errors.saturating_add(1);
        for dependent in step.dependents.clone() {
            if let Some(dependent) = self.steps.get_mut(dependent) {
                dependent.doomed = true;
            }
        }
    }

    /// After a wave of operations that refer to each other in a circle: those that were applied although one that they need
    /// was not. They count as failed; what they created has to go again.
    pub fn take_back(&mut self) -> Vec<usize> {
        let circle: HashSet<usize> = std::mem::take(&mut self.circle).into_iter().collect();
        let has = |step: &Step, state| step.state == state;
        let mut failed: Vec<usize> = circle
            .iter()
            .copied()
            .filter(|index| self.steps.get(*index).is_some_and(|step| has(step, State::Failed)))
            .collect();
        let mut orphans = Vec::new();
        while let Some(index) = failed.pop() {
            let dependents = self.steps.get(index).map(|step| step.dependents.clone()).unwrap_or_default();
            for dependent in dependents.into_iter().filter(|dependent| circle.contains(dependent)) {
                if self.steps.get(dependent).is_some_and(|step| has(step, State::Applied)) {
                    self.fail(dependent);
                    orphans.push(dependent);
                    failed.push(dependent);
                }
            }
        }
        orphans.sort_unstable();
        orphans
    }
}

impl Step {
    /// A step, and the places of the operations that it refers to.
    fn of(
        index: usize,
        operation: &BulkOperation,
        creators: &HashMap<&str, usize>,
        turns: &mut Turns,
    ) -> (Self, Vec<usize>) {
        let mut step = Self {
            state: State::Waiting,
            refusal: None,
            dependents: Vec::new(),
            open: 0,
            doomed: false,
            resource: None,
            name: None,
            turn: None,
            beside_renames: false,
        };
        let action = match &operation.action {
            Ok(action) => action,
            Err(refusal) => {
                step.refusal = Some(refusal.clone());
                return (step, Vec::new());
            }
        };
        let is_second = matches!(action, Action::Create { .. })
            && operation.bulk_id.as_deref().and_then(|id| creators.get(id)).is_some_and(|first| *first != index);
        if is_second {
            let detail = "bulkId is used by an earlier POST of the request; it must be unique";
            step.refusal = Some(ScimError::bad_request(ScimType::InvalidValue, detail));
            return (step, Vec::new());
        }
        let mut needs = Vec::new();
        for bulk_id in references(action) {
            match creators.get(bulk_id) {
                // Its own id is known before it is created.
                Some(creator) if *creator == index => {}
                Some(creator) => needs.push(*creator),
                None => step.refusal = Some(reference::unknown()),
            }
        }
        needs.sort_unstable();
        needs.dedup();
        step.open = needs.len();
        step.resource = action.target().and_then(|target| match &target.which {
            ResourceRef::Id(id) => Some(Resource::Known(target.resource_type, *id)),
            ResourceRef::BulkId(bulk_id) => creators.get(bulk_id.as_str()).copied().map(Resource::CreatedBy),
        });
        if let Some(NameClaim::Name(name)) = action.body().map(|body| &body.naming) {
            step.name = Some((action.resource_type(), name.clone()));
        }
        step.turn = effect(action).map(|effect| (action.resource_type(), turns.of(action.resource_type(), effect)));
        (step, needs)
    }

    fn refused(&self) -> Option<ScimError> {
        self.refusal.clone().or_else(|| self.doomed.then(reference::failed))
    }
}

/// Which operation creates what has this bulkId: the first, if several say so.
fn creators(operations: &[BulkOperation]) -> HashMap<&str, usize> {
    let mut creators = HashMap::new();
    for (index, operation) in operations.iter().enumerate() {
        if let (Some(bulk_id), Ok(Action::Create { .. })) = (&operation.bulk_id, &operation.action) {
            creators.entry(bulk_id.as_str()).or_insert(index);
        }
    }
    creators
}

fn references(action: &Action) -> impl Iterator<Item = &str> {
    let in_path = action.target().and_then(|target| match &target.which {
        ResourceRef::BulkId(bulk_id) => Some(bulk_id.as_str()),
        ResourceRef::Id(_) => None,
    });
    action.body().into_iter().flat_map(|body| body.references.iter().map(String::as_str)).chain(in_path)
}

fn effect(action: &Action) -> Option<Effect> {
    match action {
        Action::Create { .. } => Some(Effect::Takes),
        Action::Delete { .. } => Some(Effect::Frees),
        Action::Replace { body, .. } | Action::Patch { body, .. } => {
            (body.naming != NameClaim::Nothing).then_some(Effect::Renames)
        }
    }
}

/// Counts, for each kind, how often what is done to names has changed: only what does the same is done together.
#[derive(Default)]
struct Turns(BTreeMap<ResourceType, (usize, Option<Effect>)>);

impl Turns {
    fn of(&mut self, resource_type: ResourceType, effect: Effect) -> usize {
        let (turn, last) = self.0.entry(resource_type).or_default();
        if last.is_some_and(|last| last != effect) {
            *turn = turn.saturating_add(1);
        }
        *last = Some(effect);
        *turn
    }
}
