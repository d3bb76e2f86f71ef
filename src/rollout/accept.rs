//! What a new plan document does to the position: applied at once, walked, re-planned in mid-walk, or distrusted.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;

use crate::plan::{Plan, Revision, Routing, Span, VersionName};

use super::{
    Cause, Journal, Owner, Phase, Reason, Settled, State, Transition, What, World, apart, failing, failure, gates, runs,
};

/// Appends a transition that describes the journal as it stands.
pub(super) fn note(journal: &mut Journal, now: Timestamp, what: What, note: String) {
    let commit = journal.revision.short().to_owned();
    let traffic = journal.state.traffic.to_string();
    journal.note(Transition { at: now, what, commit, traffic, note });
}

/// Starts a new position: nothing is converged, nothing has been held.
pub(super) fn enter(journal: &mut Journal, now: Timestamp, phase: Phase, hold: Span) {
    journal.phase = phase;
    journal.entered = now;
    journal.hold = hold;
    journal.converged = None;
    journal.elapsed_ms = 0;
}

/// Puts the state of `refuge` back: proof falls as for a retreat, and nothing is left of the walk.
pub(super) fn go_back(journal: &mut Journal, refuge: &Settled, now: Timestamp, phase: Phase) {
    journal.retreat_to(&refuge.state.traffic);
    let state = refuge.state.clone().following(&journal.state);
    let moved = journal.state != state;
    journal.state = state;
    if moved {
        enter(journal, now, phase, Span::ZERO);
    } else {
        journal.phase = phase;
        journal.hold = Span::ZERO;
    }
    journal.rising.clear();
    journal.tested.clear();
    journal.way_back = None;
    journal.way_back_ready.clear();
    journal.failure = None;
    journal.together();
}

/// The plan's routing with the pins that may be written, and with the versions that it no longer declares but that
/// still carry weight. `carried` has the routing that stands.
pub(super) fn routing(journal: &Journal, pins: Vec<crate::plan::Pin>, carried: &State) -> Arc<Routing> {
    let mut routing = Routing { pins, ..journal.plan.routing.clone() };
    for (name, _) in carried.traffic.iter() {
        if routing.version(name).is_none()
            && let Some(version) = carried.routing.version(name)
        {
            routing.versions.push(version.clone());
        }
    }
    let routing = State { traffic: carried.traffic.clone(), routing: Arc::new(routing) }.following(carried).routing;
    // The same one stays the same: it is compared and packed again and again.
    if routing == carried.routing { carried.routing.clone() } else { routing }
}

/// The state at the present weights with the routing that the plan wants, as far as it may be written.
pub(super) fn followed(world: &World, journal: &Journal) -> State {
    let (pins, _) = gates::pins(world, journal, &journal.state);
    State { traffic: journal.state.traffic.clone(), routing: routing(journal, pins, &journal.state) }
}

/// The versions that the plan wants above both what they have, in the cluster where that is least, and what they have
/// proven. What an open walk would go back
/// to counts as proven whatever runs there now: a commit goes back as freely as a failure does (law 3).
fn rising(journal: &Journal, plan: &Plan) -> BTreeSet<VersionName> {
    let way_back = journal.way_back.as_ref().filter(|_| !journal.is_settled());
    let above = |version: &&crate::plan::Version| {
        let wanted = plan.traffic.weight(&version.name);
        let leads_back = way_back.is_some_and(|settled| settled.state.traffic.weight(&version.name) > 0);
        let proven = if leads_back { journal.stood(version) } else { journal.proven(version) };
        wanted > apart::least(journal, &version.name).max(proven)
    };
    plan.routing.versions.iter().filter(above).map(|version| version.name.clone()).collect()
}

/// The first version that a state reaches and that the plan would give other labels.
fn relabelled(state: &State, plan: &Plan) -> Option<VersionName> {
    let differs = |name: &&VersionName| match (state.routing.version(name), plan.routing.version(name)) {
        (Some(before), Some(after)) => before.labels != after.labels,
        _ => false,
    };
    state.reached().into_iter().find(differs).cloned()
}

/// Whether the plan gives less to something that the open walk was raising. What has another digest is another
/// version, and gives nothing to the one before.
fn distrusts(before: &Journal, plan: &Plan) -> bool {
    let less = |name: &VersionName| {
        let kept = match (before.state.routing.version(name), plan.routing.version(name)) {
            (Some(there), Some(wanted)) => there.digest() == wanted.digest(),
            _ => false,
        };
        let (has, wanted) = (before.state.traffic.weight(name), plan.traffic.weight(name));
        has > 0 && (!kept || wanted < has)
    };
    before.is_raised() && before.rising.iter().any(less)
}

/// Brings a plan into force.
///
/// Where nothing rises its target is applied at once, past all gates (law 3). Else it walks: from a settled state it
/// starts anew; in mid-walk it goes on from the present weight, unless it gives less to a version that the open walk
/// was raising: then the way-back state is applied first, so that a bad canary never lingers.
///
/// # Errors
/// The reason why it does not come into force; the journal is then as it was.
pub(super) fn accept(
    journal: &mut Journal,
    world: &World,
    plan: &Arc<Plan>,
    revision: &Revision,
    owner: &Owner,
    now: Timestamp,
) -> Result<(), Reason> {
    apart::reorder(journal, plan, now);
    let before = journal.clone();
    let rising = rising(&before, plan);
    let runs = |name: &VersionName| runs::seen(world, name);
    let same_failure = before.is_held_at(plan, &rising, runs);
    // Clusters that fell back have to walk again, and no step has one of them behind the others.
    let distrusted = distrusts(&before, plan) || (apart::has_fallen(&before) && !same_failure);
    let target = State { traffic: plan.traffic.clone(), routing: Arc::new(plan.routing.clone()) };
    let leaves = |name: &VersionName| !target.reached().contains(name);
    // What is left for good may get other labels: a revert must never wait for that.
    let at_once = rising.is_empty() && relabelled(&before.state, plan).is_none_or(|name| leaves(&name));
    let held = match gates::refuge(world, &before) {
        Some(refuge) if distrusted && !at_once => relabelled(&refuge.state, plan),
        _ if at_once => None,
        _ => std::iter::once(&before.state)
            .chain(before.way_back.iter().map(|settled| &settled.state))
            .find_map(|state| relabelled(state, plan)),
    };
    if let Some(version) = held {
        return Err(Reason::Relabelled { version });
    }
    journal.plan = plan.clone();
    journal.revision = revision.clone();
    journal.owner = owner.clone();
    if at_once {
        return apply_at_once(journal, before, world, now);
    }
    if !same_failure && before.has_failed(plan, &rising, runs) {
        return refuse_failed(journal, before, world, now);
    }
    journal.failure = before.failure.clone().filter(|_| same_failure);
    if distrusted {
        let refuge = gates::refuge(world, &before).cloned();
        if refuge.is_none() && before.apart.is_some() {
            // What the clusters that stand behind would be raised to is what is not trusted.
            return Err(Reason::NoWayBack { cause: "clusters stand apart, and a commit asks for less".to_owned() });
        }
        begin_anew(journal, refuge, "the new target gives less to what the open walk was raising", world, now);
    } else if before.is_raised() {
        replan(journal, &before, rising, now);
    } else {
        start(journal, &before, rising, now);
    }
    Ok(())
}

/// What has failed before is not tried again, and nothing that is open stays where only its walk would have led.
fn refuse_failed(journal: &mut Journal, before: Journal, world: &World, now: Timestamp) -> Result<(), Reason> {
    let phase = Phase::WentBack { cause: Cause::FailedBefore };
    if before.is_raised() {
        let Some(refuge) = gates::refuge(world, &before).cloned() else {
            *journal = before;
            return Err(Reason::NoWayBack { cause: Cause::FailedBefore.to_string() });
        };
        go_back(journal, &refuge, now, phase);
        note(journal, now, What::WentBack, Cause::FailedBefore.to_string());
    } else if !matches!(before.phase, Phase::WentBack { .. }) {
        journal.phase = phase;
        journal.rising.clear();
        journal.way_back = None;
    }
    Ok(())
}

fn apply_at_once(journal: &mut Journal, before: Journal, world: &World, now: Timestamp) -> Result<(), Reason> {
    let target = journal.plan.traffic.clone();
    let gone = gates::known_gone(world, &target).filter(|name| target.weight(name) > before.state.traffic.weight(name));
    if let Some(version) = gone.cloned() {
        *journal = before;
        // The commit asks to leave what is open; the nearest state that can serve is where that leads.
        if !journal.is_settled() && gates::refuge(world, journal).is_some() {
            let place = failing::place(&version, gates::gone_in(world, &version), world);
            return failure::go_back(journal, world, Cause::EndpointsGone(place), now);
        }
        return Err(gates::where_gone(world, &version, Reason::CannotServe { version: version.clone() }));
    }
    journal.retreat_to(&target);
    let (pins, _) = gates::pins(world, journal, &before.state);
    let routing = routing(journal, pins, &State { traffic: target.clone(), routing: before.state.routing.clone() });
    journal.state = State { traffic: target, routing };
    journal.together();
    let weights_alone = journal.state.differs_in_weights_alone(&before.state);
    let is_it = |settled: &Settled| settled.state.clone().following(&before.state) == journal.state;
    let known = journal.settled.iter().any(is_it);
    let unmoved = weights_alone && journal.state.traffic == before.state.traffic;
    let pinned = journal.state.routing.pins.len() == journal.plan.routing.pins.len();
    let unproven = unproven(journal, &before);
    let proven = unproven.is_empty();
    if unmoved {
        journal.phase = Phase::Target;
        journal.hold = journal.plan.settle;
    } else {
        enter(journal, now, Phase::Target, journal.plan.settle);
    }
    // The last settled state is kept even above its proof: being there is not proving it.
    if pinned && proven && (known || weights_alone) {
        journal.settle(now);
        if !unmoved {
            note(journal, now, What::Applied, String::new());
        }
        return Ok(());
    }
    journal.way_back_ready.clear();
    if before.is_settled() {
        // No walk has led here.
        journal.origin = journal.state.traffic.clone();
    }
    // Where only the routing has to be proven the former one is the way back, not a newer state that was left.
    let former = |settled: &&Settled| settled.state.clone().following(&before.state) == before.state;
    let former = journal.settled.iter().rev().find(former).filter(|_| unproven.is_empty() && before.is_settled());
    journal.way_back = former.or_else(|| gates::way_back(journal, &unproven)).cloned();
    journal.rising = unproven;
    note(journal, now, if unmoved { What::Accepted } else { What::Applied }, String::new());
    Ok(())
}

/// The versions that have more than they have proven. Other images behind a version that no open walk was raising do not
/// make it one of them: traffic is not moved by that, and it is told as of a settled state.
fn unproven(journal: &Journal, before: &Journal) -> BTreeSet<VersionName> {
    let state = &journal.state;
    let above = |name: &VersionName, weight: u8| {
        let proven = |version| {
            if before.rising.contains(name) { journal.proven(version) } else { journal.stood(version) }
        };
        state.routing.version(name).is_none_or(|version| weight > proven(version))
    };
    state.traffic.iter().filter(|(name, weight)| above(name, *weight)).map(|(name, _)| name.clone()).collect()
}

/// Goes to `refuge`, if there is one, and walks from there, unless this is what has failed before.
pub(super) fn begin_anew(journal: &mut Journal, refuge: Option<Settled>, why: &str, world: &World, now: Timestamp) {
    let is_back = refuge.is_some();
    if let Some(refuge) = refuge {
        go_back(journal, &refuge, now, Phase::Starting);
        note(journal, now, What::WentBack, why.to_owned());
    }
    let base = journal.clone();
    let rising = rising(&base, &journal.plan);
    // What the open walk gave to other builds of the same names has hidden what would rise.
    if is_back && base.has_failed(&journal.plan, &rising, |name| runs::seen(world, name)) {
        journal.phase = Phase::WentBack { cause: Cause::FailedBefore };
        return;
    }
    start(journal, &base, rising, now);
}

fn replan(journal: &mut Journal, before: &Journal, rising: BTreeSet<VersionName>, now: Timestamp) {
    let present = super::walk::total(&before.state.traffic, &rising);
    let hold =
        journal.plan.steps.iter().rev().find(|step| step.weight <= present).map_or(before.hold, |step| step.hold);
    let union: BTreeSet<VersionName> = before.rising.union(&rising).cloned().collect();
    journal.way_back = gates::way_back(before, &union).cloned();
    journal.origin = before.state.traffic.clone();
    journal.rising = rising;
    // Converged time counts on: another routing, if there is one, is written next and starts it anew.
    journal.phase = Phase::Walking { weight: present };
    journal.hold = hold;
    note(journal, now, What::Accepted, "goes on from the present weights".to_owned());
}

fn start(journal: &mut Journal, before: &Journal, rising: BTreeSet<VersionName>, now: Timestamp) {
    journal.way_back = gates::way_back(before, &rising).cloned();
    journal.way_back_ready.clear();
    journal.origin = before.state.traffic.clone();
    journal.rising = rising;
    // What has converged stays so for the first raise: the new routing and the first step go out in one write. Where what
    // runs at the present weight is still to stand its test, that comes first.
    let untested =
        matches!(before.phase, Phase::Settled) && runs::doubted(before).any(|(name, _)| journal.rising.contains(name));
    journal.phase = Phase::Starting;
    journal.hold = if untested { before.hold } else { Span::ZERO };
    journal.entered = now;
    note(journal, now, What::Accepted, String::new());
}
