//! The one function that decides: plan, journals, observation and instant in; goals, next instant and reason out.

mod release;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use crate::plan::{DriftPolicy, Plan, Revision, VersionName};

use super::{
    Apply, Cause, Decision, Goal, Journal, JournalError, Next, Owner, Phase, Reason, State, Wanted, What, World,
    accept, apart, barrier, converge, drift, elsewhere,
    failing::{self, Failing},
    failure, gates, lease, newcomer, restore, runs, sight,
    sight::Origin,
    stop, subsets, walk,
};

/// Decides (law 5: the same arguments give the same decision).
pub fn decide(world: &World, now: Timestamp) -> Decision {
    let mut decision = lease::confine(world, decide_in_full(world, now), now);
    if world.clusters.len() < 2 {
        decision.reason = decision.reason.alone();
    }
    decision
}

fn decide_in_full(world: &World, now: Timestamp) -> Decision {
    let hold = |reason| Decision {
        goals: world.clusters.keys().map(|name| (name.clone(), Goal::Keep)).collect(),
        wake_at: None,
        reason,
        journal: None,
        decided: false,
        withheld: None,
    };
    let unknown = || match &world.git.refused {
        Some(why) => Reason::TipNotAccepted { why: why.to_string() },
        None => Reason::GitUnknown,
    };
    let sight = sight::join(world);
    let wanted = match &world.wanted {
        Wanted::Plan { plan, revision, owner, .. } => Some((plan, revision, owner)),
        Wanted::Unknown | Wanted::Removed { .. } => None,
    };
    let (found, origin) = match (sight, wanted) {
        (sight::Sight::Unreadable(reason), _) => return hold(reason),
        (sight::Sight::Journal(journal, origin), _) => (journal, origin),
        (_, None) if matches!(world.wanted, Wanted::Unknown) => return hold(unknown()),
        (_, None) => return Decision { goals: sight::unfinished(world), ..hold(Reason::Released) },
        (_, Some((plan, ..))) if plan.suspend => return hold(Reason::Suspended),
        (sight, Some((plan, revision, owner))) => {
            let live = if let sight::Sight::Unlabelled(live) = &sight { Some(&**live) } else { None };
            if world.git.last_look.is_none() {
                return hold(Reason::Blind { last_look: None });
            }
            match sight::first(world, plan, revision, owner, live, now) {
                Ok(journal) => (Arc::new(journal), Origin::First),
                Err(reason) => return hold(reason),
            }
        }
    };
    if world.repository.as_deref().is_some_and(|own| found.owner.repository != own) {
        // Whatever this repository asks for, or asks for no more, the route is another's.
        return match world.wanted {
            Wanted::Removed { .. } => hold(Reason::Released),
            Wanted::Unknown | Wanted::Plan { .. } => hold(sight::other_plan(world, &found.owner)),
        };
    }
    let suspended = wanted.map_or(found.plan.suspend, |(plan, ..)| plan.suspend);
    if suspended {
        return Decision { journal: Some(found), ..hold(Reason::Suspended) };
    }
    if let Some((_, _, owner)) = wanted
        && found.owner != *owner
        && (world.living_owners.contains(&found.owner.to_string()) || found.owner.repository != owner.repository)
    {
        return hold(sight::other_plan(world, &found.owner));
    }
    let resumes = origin == Origin::Noted && world.clusters.values().all(|cluster| cluster.virtual_service.is_none());
    let Some((plan, ..)) = wanted.filter(|_| resumes) else { return Draft::new(world, found, origin, now).run(wanted) };
    if let Err(reason) = sight::may_begin(world, plan, &found.owner) {
        return hold(reason);
    }
    let decision = Draft::new(world, found, origin, now).run(wanted);
    // Pods of a cluster that was made anew come one by one: what is not there yet has not failed.
    let state = decision.journal.as_ref().map(|journal| &journal.state);
    match state.map_or(Ok(()), |state| gates::can_serve(world, &state.traffic, 1)) {
        Ok(()) => decision,
        Err(reason) => hold(reason),
    }
}

struct Draft<'a> {
    origin: Origin,
    /// What a hand has lowered is taken back in this very decision.
    taken_back: bool,
    world: &'a World,
    now: Timestamp,
    found: Arc<Journal>,
    /// The journal with the note that it was restored, where it was.
    restored: Option<Journal>,
    journal: Journal,
    wake_at: Option<Timestamp>,
}

impl<'a> Draft<'a> {
    fn new(world: &'a World, found: Arc<Journal>, origin: Origin, now: Timestamp) -> Self {
        let mut journal = Journal::clone(&found);
        let gone = world.clusters.values().any(|cluster| cluster.virtual_service.is_none());
        let restored = matches!(origin, Origin::Restored | Origin::Noted);
        if restored && !matches!(world.wanted, Wanted::Removed { .. }) {
            let what = match (origin, gone) {
                (Origin::Noted, _) => "from the repository's notes",
                (_, true) => "the VirtualService was gone",
                (_, false) => "its journal was gone or broken",
            };
            // A fight over the journal must not push what happened out of it.
            if journal.transitions.last().is_none_or(|last| last.what != What::Restored) {
                accept::note(&mut journal, now, What::Restored, what.to_owned());
            }
            journal.converged = None;
        }
        if origin == Origin::Noted {
            // What was held elsewhere was not held here, and the objects there are not these.
            (journal.entered, journal.elapsed_ms, journal.owns_traffic_policy) = (now, 0, false);
        }
        apart::join(&mut journal, world);
        // What is to be held counts from when the last cluster has it.
        if newcomer::joins(world) && !journal.is_settled() {
            (journal.converged, journal.elapsed_ms) = (None, 0);
        }
        if !matches!(world.wanted, Wanted::Removed { .. }) {
            runs::take_down(&mut journal, world, now);
        }
        // None of this was decided.
        let restored = (journal != *found).then(|| journal.clone());
        Self { origin, taken_back: false, world, now, found, restored, journal, wake_at: None }
    }

    fn run(mut self, wanted: Option<(&Arc<Plan>, &Revision, &Owner)>) -> Decision {
        if matches!(self.world.wanted, Wanted::Removed { .. }) {
            restore::void(&mut self.journal, None, self.now);
            return self.released();
        }
        if let Some((plan, _, owner)) = wanted {
            restore::void(&mut self.journal, Some((plan, owner)), self.now);
        }
        stop::forget(self.world, &mut self.journal);
        let mut stop = stop::standing(self.world, &self.journal);
        let mut blocked = self.stopped_by_hand(stop.as_deref());
        if let Some((plan, revision, owner)) = wanted
            && self.is_news(plan, owner)
            // It stands as a stop until it is on record: what the plan raises in the same write would never be made.
            && !self.taken_back
        {
            let before = self.journal.clone();
            // What stands in the way of a way back must not stand in the way of a commit that knows another.
            blocked = self.accept(plan, revision, owner).err().map(|reason| blocked.unwrap_or(reason));
            if self.journal.plan.digest == plan.digest {
                stop::outlives(&mut self.journal, &before, stop.as_deref());
                stop = stop::standing(self.world, &self.journal);
            }
        }
        // What keeps a plan out of force keeps nothing that is open from failing.
        let doubted = runs::doubt(&mut self.journal, self.world, self.now).err();
        let failed = self.fail();
        blocked = blocked.or_else(|| self.stands_lowered()).or(failed).or(doubted);
        let reason = self.advance(blocked, stop);
        self.finish(reason)
    }

    fn decided(&self) -> bool {
        if matches!(self.origin, Origin::First | Origin::Noted) {
            return true;
        }
        let Some(restored) = &self.restored else { return self.journal != *self.found };
        // That it has converged again follows from putting it back.
        Journal { converged: restored.converged, ..self.journal.clone() } != *restored
    }

    /// What keeps a walk from going on, though it was written: a fight, or drift that the plan leaves as it stands.
    fn disturbed(&mut self) -> Option<Reason> {
        for (name, view) in &self.world.clusters {
            if let Some(fight) = &view.fight {
                self.wake(fight.until);
                let (cluster, fight) = (name.clone(), Box::new(fight.clone()));
                return Some(Reason::DriftFight { cluster, fight });
            }
        }
        if self.journal.plan.drift == DriftPolicy::Correct || self.decided() {
            return None;
        }
        self.world.clusters.iter().find_map(|(name, view)| {
            let apart = self.journal.as_in(name);
            let journal = apart.as_ref().unwrap_or(&self.journal);
            drift::left(name, view, journal, &journal.kept_subsets(), self.now)
        })
    }

    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |before| before.min(at)));
    }

    /// Goes back where a person stopped the walk, by annotation or by lowering an unproven version.
    fn stopped_by_hand(&mut self, stop: Option<&str>) -> Option<Reason> {
        let cause = stop::wanted(self.world, &self.journal, stop)?;
        let lowered = matches!(cause, Cause::LoweredByHand(_));
        let gone_back = failure::go_back(&mut self.journal, self.world, cause, self.now);
        if gone_back.is_ok() {
            self.taken_back = lowered;
            self.journal.stop = stop.map(|text| stop::Answered { text: text.to_owned(), lift: false });
        }
        gone_back.err()
    }

    /// A lowering that no settled state answers stops what a commit has made of the walk meanwhile, too.
    fn stands_lowered(&self) -> Option<Reason> {
        if self.journal.is_settled() {
            return None;
        }
        let mut clusters = self.world.clusters.iter();
        let lowered = clusters.find_map(|(name, view)| {
            let apart = self.journal.as_in(name);
            drift::stands_lowered(name, view, apart.as_ref().unwrap_or(&self.journal))
        })?;
        Some(Reason::NoWayBack { cause: Cause::LoweredByHand(lowered).to_string() })
    }

    /// Whether a plan has to be brought into force.
    fn is_news(&self, plan: &Plan, owner: &Owner) -> bool {
        let first = self.origin == Origin::First && matches!(self.journal.phase, Phase::Settled);
        first
            || plan.digest != self.journal.plan.digest
            || *owner != self.journal.owner
            || matches!(self.journal.phase, Phase::Released { .. })
    }

    fn accept(&mut self, plan: &Arc<Plan>, revision: &Revision, owner: &Owner) -> Result<(), Reason> {
        let before = self.journal.clone();
        if let Err(reason) = accept::accept(&mut self.journal, self.world, plan, revision, owner, self.now) {
            self.journal = before;
            return Err(reason);
        }
        // Where pods once were is noted anew with the next raise.
        if self.journal.fits().is_err() {
            self.journal.elsewhere.clear();
        }
        // A position that can't be written down would hold up the way back from it.
        if let Err(JournalError::TooLarge(bytes)) = self.journal.fits() {
            self.journal = before;
            return Err(Reason::JournalTooLarge { bytes });
        }
        Ok(())
    }

    fn fail(&mut self) -> Option<Reason> {
        let refused = || self.world.clusters.iter().find_map(|(name, view)| Some((name, view.rejected.clone()?)));
        if matches!(self.origin, Origin::First | Origin::Noted) {
            // Nothing stands yet from which one could go back.
            return refused().map(|(name, message)| Reason::Rejected { message }.of(name));
        }
        let failing = failing::failing(self.world, &self.journal, self.now);
        if let Some(wake) = failing.wake {
            self.wake(wake);
        }
        let cause = self.journal.failure.clone().or_else(|| failing.cause().cloned())?;
        failure::step(&mut self.journal, self.world, cause, &failing, self.now).err()
    }

    fn advance(&mut self, blocked: Option<Reason>, stop: Option<String>) -> Reason {
        let reason = match &self.journal.phase {
            Phase::Released { .. } => Reason::Released,
            Phase::WentBack { cause } => Reason::WentBack { cause: cause.clone(), retry: self.journal.retry() },
            Phase::Settled => {
                let stopped = stop.is_some() || blocked.is_some();
                runs::prove_again(&mut self.journal, self.world, stopped, self.now).unwrap_or(Reason::Settled)
            }
            Phase::Starting | Phase::Walking { .. } | Phase::Target => {
                return match self.walk(blocked, stop) {
                    Err(reason) if self.follow_routing() => match reason.plainly() {
                        Reason::Converging { .. } | Reason::Hold { .. } => {
                            Reason::Converging { until: None, lag: None }
                        }
                        _ => reason,
                    },
                    Err(reason) | Ok(reason) => reason,
                };
            }
        };
        blocked.or_else(|| stop.map(|text| Reason::Stopped { text })).unwrap_or(reason)
    }

    /// Goes one position further, or says what it waits for.
    fn walk(&mut self, blocked: Option<Reason>, stop: Option<String>) -> Result<Reason, Reason> {
        if let Some(reason) = self.disturbed() {
            return Err(blocked.unwrap_or(reason));
        }
        if self.journal.converged.is_none() {
            match converge::all(self.world, &self.journal) {
                // Whoever takes over has seen it since then; never since before the position was entered.
                Some(at) if at <= self.now => self.journal.converged = Some(at.max(self.journal.entered).min(self.now)),
                until => {
                    if let Some(at) = until {
                        self.wake(at);
                    }
                    let away = gates::away(self.world).filter(|_| until.is_none());
                    let lag = if until.is_none() { converge::lag(self.world) } else { None };
                    return Err(blocked.or(away).or(lag).unwrap_or(Reason::Converging { until, lag: None }));
                }
            }
        }
        if self.origin == Origin::Live && !converge::on_record(self.world, &self.found) {
            let away = gates::away(self.world);
            return Err(blocked.or(away).unwrap_or(Reason::Converging { until: None, lag: None }));
        }
        if let Some(until) = self.journal.hold_opens().filter(|opens| *opens > self.now) {
            self.wake(until);
            return Err(blocked.unwrap_or(Reason::Hold { until }));
        }
        if let Some(reason) = blocked {
            return Err(reason);
        }
        if self.journal.apart.is_some() {
            if let Some(text) = stop {
                return Err(Reason::Stopped { text });
            }
            let entered = apart::next_wave(&mut self.journal, self.world, self.now);
            return entered
                .or_else(|reason| self.wait_or_fail(reason))
                .map(|()| Reason::Converging { until: None, lag: None });
        }
        if matches!(self.journal.phase, Phase::Target) {
            if self.follow_routing() {
                return Ok(Reason::Converging { until: None, lag: None });
            }
            if let Some(reason) = gates::pins(self.world, &self.journal, &self.journal.state).1 {
                return Err(reason);
            }
            if let Some(version) = gates::known_gone(self.world, &self.journal.state.traffic) {
                let deadline = self.wake_at;
                let waits = Reason::Endpoints { version: version.clone(), ready: Some(0), needed: 1, deadline };
                return Err(gates::where_gone(self.world, version, waits));
            }
            runs::passed(&mut self.journal, self.world);
            self.journal.settle(self.now);
            accept::note(&mut self.journal, self.now, What::Settled, String::new());
            return Ok(stop.map_or(Reason::Settled, |text| Reason::Stopped { text }));
        }
        if let Some(text) = stop {
            return Err(Reason::Stopped { text });
        }
        self.raise().map(|()| Reason::Converging { until: None, lag: None })
    }

    /// Writes the plan's routing at the present weights where it differs: pins whose version has become ready, other
    /// matches or `http` fields. A way-back state is left alone until it has converged. Returns whether it changed.
    fn follow_routing(&mut self) -> bool {
        let back_first = matches!(self.journal.phase, Phase::Starting) && self.journal.converged.is_none();
        if back_first || self.journal.is_settled() {
            return false;
        }
        let wanted = accept::followed(self.world, &self.journal);
        let rendered_alike = wanted.differs_in_weights_alone(&self.journal.state);
        self.journal.state = wanted;
        if !rendered_alike {
            let (phase, hold) = (self.journal.phase.clone(), self.journal.hold);
            accept::enter(&mut self.journal, self.now, phase, hold);
        }
        !rendered_alike
    }

    /// Enters the next step, or the target.
    fn raise(&mut self) -> Result<(), Reason> {
        let journal = &self.journal;
        let plan = journal.plan.clone();
        let origin_total = journal.risen(&journal.origin);
        let present = match journal.phase {
            Phase::Walking { weight } => Some(weight),
            _ => None,
        };
        let next = walk::next(&plan, origin_total, journal.risen(&plan.traffic), present);
        let order: Vec<VersionName> =
            journal.state.routing.versions.iter().map(|version| version.name.clone()).collect();
        let (traffic, phase, hold, what, label) = match next {
            Next::Step(step) => (
                walk::at(step.weight, &journal.origin, &plan.traffic, &journal.rising, &order)
                    .unwrap_or_else(|| journal.state.traffic.clone()),
                Phase::Walking { weight: step.weight },
                step.hold,
                What::StepEntered,
                step.name.clone().unwrap_or_default(),
            ),
            Next::Target => (plan.traffic.clone(), Phase::Target, plan.settle, What::TargetEntered, String::new()),
        };
        let absent = barrier::absent(self.world, journal);
        if let Err(reason) = gates::entry(&barrier::without(self.world, &absent), journal, &traffic, self.now) {
            return self.wait_or_fail(reason);
        }
        let (pins, _) = gates::pins(self.world, journal, &State { traffic: traffic.clone(), ..journal.state.clone() });
        let carried = State { traffic: traffic.clone(), routing: journal.state.routing.clone() };
        let routing = accept::routing(journal, pins, &carried);
        let left = std::mem::replace(&mut self.journal.state, State { traffic, routing });
        apart::begin(&mut self.journal, self.world, left, &absent);
        gates::note_way_back(self.world, &mut self.journal);
        accept::enter(&mut self.journal, self.now, phase, hold);
        accept::note(&mut self.journal, self.now, what, label);
        Ok(())
    }

    fn wait_or_fail(&mut self, reason: Reason) -> Result<(), Reason> {
        if let Reason::Endpoints { version, deadline: Some(deadline), .. } = reason.plainly() {
            if *deadline <= self.now {
                let cause = Cause::Deadline(failing::place(version, reason.cluster(), self.world));
                return failure::step(&mut self.journal, self.world, cause, &Failing::default(), self.now);
            }
            self.wake(*deadline);
        }
        Err(reason)
    }

    fn finish(mut self, reason: Reason) -> Decision {
        let kept = self.journal.kept_subsets();
        let names: BTreeSet<VersionName> = kept.iter().map(|version| version.name.clone()).collect();
        let changed = self.journal != *self.found;
        let decided = self.origin == Origin::First || (changed && self.decided());
        if changed || !names.is_subset(&self.journal.subsets) {
            subsets::own(&mut self.journal, self.world, &names);
            lease::sign(&mut self.journal, self.world, self.now);
            elsewhere::note(&mut self.journal, self.world);
        }
        let surplus = subsets::surplus(&self.journal, self.world, &names);
        // What failed must not be forgotten with the VirtualService.
        let keeps = matches!(self.journal.phase, Phase::Settled | Phase::WentBack { .. });
        let Self { world, now, found, journal, mut wake_at, .. } = self;
        let journal = if journal == *found { found } else { Arc::new(journal) };
        let wait = SignedDuration::from_millis(world.settings.convergence_wait_ms);
        let mut goals = BTreeMap::new();
        let mut reason = reason;
        let front = journal;
        for (name, view) in &world.clusters {
            let apart = front.as_in(name).map(Arc::new);
            let kept = apart.as_ref().map_or_else(|| Cow::Borrowed(&kept), |apart| Cow::Owned(apart.kept_subsets()));
            let journal = apart.unwrap_or_else(|| front.clone());
            let there = view.journal.as_ref().and_then(|journal| journal.as_ref().ok());
            let journal_changed = there.is_none_or(|there| *there != journal);
            let standing = subsets::standing(&kept, &journal.state, view);
            // Once for the proxies to leave the subset, once for requests in flight.
            let leaves = surplus || standing.is_some();
            let subsets = standing.unwrap_or_else(|| kept.to_vec());
            let drained = |at: Timestamp| at.checked_add(wait).ok();
            let converged = if leaves { converge::one(world, &journal, view, &subsets) } else { None };
            let remove_at = converged.and_then(drained);
            let copy = keeps && !journal_changed && view.copy.as_ref().is_none_or(|copy| *copy != journal);
            if let Some(at) = remove_at.filter(|at| *at > now) {
                wake_at = Some(wake_at.map_or(at, |before: Timestamp| before.min(at)));
            }
            let subsets = if remove_at.is_some_and(|at| at <= now) { kept.to_vec() } else { subsets };
            let left = if decided { None } else { drift::left(name, view, &journal, &subsets, now) };
            let leave = left.is_some();
            if let Some(left) = left.filter(|_| matches!(reason, Reason::Settled)) {
                reason = left;
            }
            let awaits = leaves && converged.is_none();
            let back = lease::leads_back(view, &journal);
            let journal = journal.clone();
            let goal = Apply { journal, journal_changed, subsets, remove_at, awaits, copy, leave, back };
            let gains = gates::gains_gone(view, &goal.journal.state);
            if let Some(version) = gains.filter(|_| view.away_since.is_none()) {
                reason = Reason::CannotServe { version }.of(name);
                goals.insert(name.clone(), Goal::Keep);
            } else {
                let keeps = view.away_since.is_some()
                    || drift::stands_lowered(name, view, &goal.journal).is_some()
                    || newcomer::keeps_out(world, view, &goal.journal);
                goals.insert(name.clone(), if keeps { Goal::Keep } else { Goal::Apply(goal) });
            }
        }
        if let Some((name, message)) =
            world.clusters.iter().find_map(|(name, view)| Some((name, view.rejected.clone()?)))
            && !matches!(
                reason.plainly(),
                Reason::NoWayBack { .. } | Reason::CannotServe { .. } | Reason::FailureHeld { .. }
            )
        {
            reason = Reason::Rejected { message }.of(name);
        }
        if matches!(reason.plainly(), Reason::Settled | Reason::Converging { until: None, .. }) {
            reason = newcomer::held(world, &front).unwrap_or(reason);
        }
        let reason = stop::placed(world, drift::disturbance(world, reason));
        let wake_at = wake_at.into_iter().chain(reason.until()).min();
        Decision { goals, wake_at, reason, journal: Some(front), decided, withheld: None }
    }
}
