//! What must hold before anything rises, and what counts as a failure of a step.

use jiff::{SignedDuration, Timestamp};

use crate::plan::{Span, Traffic, VersionName};

use super::{
    ClusterName, ClusterView, Endpoints, Journal, Lease, Reason, Settled, State, Wanted, World, apart, lease, newcomer,
};

/// The present instant plus seconds.
pub(super) fn after(at: Timestamp, seconds: u64) -> Timestamp {
    let span = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// The least ready endpoints of a version over all clusters: unknown in one is unknown, none ready counts from the
/// first cluster that saw it.
pub(super) fn endpoints(world: &World, version: &VersionName) -> Endpoints {
    least(world, version).map_or(Endpoints::UNKNOWN, |(_, least)| least)
}

/// The same, and the cluster that has them.
fn least<'a>(world: &'a World, version: &VersionName) -> Option<(&'a ClusterName, Endpoints)> {
    let each = answering(world).map(|(name, view)| (name, view.endpoints(version)));
    // What is not known is less than none.
    each.min_by_key(|(_, here)| here.ready)
}

/// The clusters that answer: of the others nothing is known. One that is new to a plan which stands in others carries
/// nothing of it: what serves there counts once it is to get something.
pub(super) fn answering(world: &World) -> impl Iterator<Item = (&ClusterName, &ClusterView)> {
    let answer = |(_, view): &(&ClusterName, &ClusterView)| view.away_since.is_none();
    let begins = world.clusters.iter().filter(answer).all(|(_, view)| newcomer::is_new(view));
    world.clusters.iter().filter(answer).filter(move |(_, view)| begins || !newcomer::is_new(view))
}

/// The first version that the traffic names and that is known to have no ready endpoint (law 3).
pub(super) fn known_gone<'a>(world: &World, traffic: &'a Traffic) -> Option<&'a VersionName> {
    traffic
        .iter()
        .map(|(name, _)| name)
        .find(|name| answering(world).any(|(_, cluster)| cluster.endpoints(name).known_gone()))
}

/// The first cluster in which a version is known to have no ready endpoint.
pub(super) fn gone_in<'a>(world: &'a World, version: &VersionName) -> Option<&'a ClusterName> {
    answering(world).find(|(_, cluster)| cluster.endpoints(version).known_gone()).map(|(name, _)| name)
}

/// A reason as of that cluster.
pub(super) fn where_gone(world: &World, version: &VersionName, reason: Reason) -> Reason {
    match gone_in(world, version) {
        Some(cluster) => reason.of(cluster),
        None => reason,
    }
}

/// A version that is known to be gone in the cluster and that would get more there than is live, though others
/// serve: putting weights back would be an outage (law 3).
pub(super) fn gains_gone(view: &ClusterView, state: &State) -> Option<VersionName> {
    let live = view.virtual_service.as_deref().filter(|_| !newcomer::is_new(view))?;
    let gone = |name: &&VersionName| view.endpoints(name).known_gone();
    state.traffic.iter().map(|(name, _)| name).find(gone)?;
    let shares = crate::istio::live_shares(live, &state.routing);
    let least = |name: &VersionName| shares.per_version_min.get(name).copied().unwrap_or(0);
    let more = state.traffic.iter().find(|(name, weight)| *weight > least(name) && gone(name));
    more.map(|(name, _)| name.clone())
}

/// Whether every version of the traffic has at least so many ready endpoints.
pub(super) fn can_serve(world: &World, traffic: &Traffic, needed: u32) -> Result<(), Reason> {
    for (name, _) in traffic.iter() {
        is_ready(world, name, needed, None)?;
    }
    Ok(())
}

/// Whether a version has at least so many ready endpoints.
///
/// `patience` is since when it is waited, and how long.
fn is_ready(world: &World, name: &VersionName, needed: u32, patience: Option<(Timestamp, Span)>) -> Result<(), Reason> {
    let seen = endpoints(world, name);
    if seen.ready.is_some_and(|ready| ready >= needed) {
        return Ok(());
    }
    // What is not known is no evidence of a failure; what has just gone gets the whole deadline.
    let deadline = patience.filter(|_| seen.ready.is_some()).map(|(began, span)| {
        let from = seen.none_since.map_or(began, |gone| gone.max(began));
        after(from, span.seconds())
    });
    Err(where_least(world, name, Reason::Endpoints { version: name.clone(), ready: seen.ready, needed, deadline }))
}

/// The same as of the cluster that has the least endpoints of the version.
fn where_least(world: &World, version: &VersionName, reason: Reason) -> Reason {
    match least(world, version) {
        Some((cluster, _)) => reason.of(cluster),
        None => reason,
    }
}

/// Whether every version that gains weight has as many of the endpoints that served everything at the start of the walk
/// as the plan wants for its share of the requests.
fn has_capacity(world: &World, journal: &Journal, next: &Traffic) -> Result<(), Reason> {
    let percent = u64::from(journal.plan.readiness.capacity_percent);
    let Some(way_back) = journal.way_back.as_ref().filter(|_| percent > 0) else { return Ok(()) };
    let mut before = 0;
    for (name, _) in way_back.state.traffic.iter() {
        let began = journal.way_back_ready.get(name).copied().or_else(|| endpoints(world, name).ready);
        let unknown = || Reason::Endpoints { version: name.clone(), ready: None, needed: 1, deadline: None };
        before += u64::from(began.ok_or_else(|| where_least(world, name, unknown()))?);
    }
    for (name, weight) in next.iter().filter(|(name, weight)| *weight > journal.state.traffic.weight(name)) {
        let ready = endpoints(world, name).ready.unwrap_or(0);
        let needed = (before * u64::from(weight) * percent).div_ceil(10_000);
        if u64::from(ready) < needed {
            let short = Reason::CapacityShort { version: name.clone(), ready, needed, before, weight };
            return Err(where_least(world, name, short));
        }
    }
    Ok(())
}

/// Whether a version of the way back has what is to be left of its endpoints.
fn is_left(world: &World, journal: &Journal, name: &VersionName) -> Result<(), Reason> {
    let Some(began) = journal.way_back_ready.get(name).copied() else { return Ok(()) };
    let percent = u64::from(journal.plan.readiness.way_back_percent);
    let needed = u32::try_from((u64::from(began) * percent).div_ceil(100)).unwrap_or(began);
    match endpoints(world, name).ready {
        Some(ready) if ready < needed => {
            let short = Reason::WayBackShort { version: name.clone(), ready, needed, began };
            Err(where_least(world, name, short))
        }
        _ => Ok(()),
    }
}

/// Notes how many endpoints the versions of the way back have, for those of which that is not noted yet.
pub(super) fn note_way_back(world: &World, journal: &mut Journal) {
    let Some(way_back) = &journal.way_back else { return };
    for (name, _) in way_back.state.traffic.iter() {
        if let Some(ready) = endpoints(world, name).ready {
            journal.way_back_ready.entry(name.clone()).or_insert(ready);
        }
    }
}

/// Entry conditions: nothing rises unless Git was seen and its tip accepted, no person stands in the way, the clocks agree, every cluster
/// answers, and both the versions that gain weight and those of the way back can serve.
pub(super) fn entry(world: &World, journal: &Journal, next: &Traffic, now: Timestamp) -> Result<(), Reason> {
    open(world, journal.plan.pause, now)?;
    if let Some(reason) = newcomer::held(world, journal) {
        return Err(reason);
    }
    let entering = apart::entering(journal, world);
    let world = &*entering;
    // How long one that was left behind has lacked something nobody has seen.
    let follows = journal.plan.quorum.is_some() && journal.apart.is_some();
    // Nor does a guard, to which a hold of whoever raises looks like its death; it raises nothing that could be late.
    let waits = journal.is_raised() && !follows && world.lease != Lease::Guard;
    let patience = waits.then(|| (wait_began(journal), journal.plan.progress_deadline));
    for (name, weight) in next.iter() {
        if weight > journal.state.traffic.weight(name) {
            is_ready(world, name, journal.plan.readiness.min_endpoints, patience)?;
        }
    }
    has_capacity(world, journal, next)?;
    if let Some(way_back) = &journal.way_back {
        for (name, _) in way_back.state.traffic.iter() {
            is_ready(world, name, 1, patience)?;
            is_left(world, journal, name)?;
        }
    }
    // The last of all: a step that fails by its deadline fails without a lease, too.
    lease::missing(world, now).map_or(Ok(()), Err)
}

/// The conditions that are the same for every raise, the first of all included: everything but endpoints.
pub(super) fn open(world: &World, pause: bool, now: Timestamp) -> Result<(), Reason> {
    if pause {
        return Err(Reason::Paused);
    }
    if let Some(why) = &world.git.refused {
        return Err(Reason::TipNotAccepted { why: why.to_string() });
    }
    let last_look = world.git.last_look;
    // A guard takes what the journal says for what Git asks: nothing rises from there anyway.
    let looks = world.lease != Lease::Guard;
    if looks
        && (matches!(world.wanted, Wanted::Unknown)
            || last_look.is_none_or(|last| after(last, world.git.max_age_s) < now))
    {
        return Err(Reason::Blind { last_look });
    }
    if matches!(world.wanted, Wanted::Plan { newer_invalid: true, .. }) {
        return Err(Reason::NewerInvalid);
    }
    if let Some(reason) = away(world) {
        return Err(reason);
    }
    for (name, cluster) in &world.clusters {
        let here = |reason: Reason| Err(reason.of(name));
        if let Some(offset_ms) = cluster.clock_offset_ms.filter(|ms| ms.abs() > world.settings.clock_skew_max_ms) {
            return here(Reason::ClockSkew { offset_ms });
        }
        if let Some(by) = cluster.claims.first() {
            return here(Reason::Claimed { by: by.clone() });
        }
        if let Some(by) = &cluster.shadow {
            return here(Reason::Shadowed { by: by.clone() });
        }
        if let Some(what) = &cluster.dependency {
            return here(Reason::Dependency { what: what.clone() });
        }
        if let Some(what) = &cluster.beyond {
            return Err(Reason::MeshIncomplete { what: what.clone() });
        }
    }
    Ok(())
}

/// The first cluster that does not answer: what it has is not known.
pub(super) fn away(world: &World) -> Option<Reason> {
    let away = |(name, view): (&String, &ClusterView)| {
        view.away_since.map(|since| Reason::Away { cluster: name.clone(), since })
    };
    world.clusters.iter().find_map(away)
}

/// When the wait for entry conditions began: once the hold of the present position had opened.
fn wait_began(journal: &Journal) -> Timestamp {
    journal.hold_opens().map_or(journal.entered, |opens| opens.max(journal.entered))
}

/// The state that a failure goes to: the way back, else the newest of those that settled before it, of those that can
/// serve. None also where the only one is what failed.
pub(super) fn refuge<'a>(world: &World, journal: &'a Journal) -> Option<&'a Settled> {
    let serves = |settled: &&Settled| known_gone(world, &settled.state.traffic).is_none();
    // What settled after the way back was left since, by a hand perhaps: nobody asks to go there again.
    let left = journal.settled.iter().rposition(|settled| journal.way_back.as_ref() == Some(settled));
    let mut before = journal.settled.iter().take(left.unwrap_or(journal.settled.len())).rev();
    journal.way_back.iter().find(serves).or_else(|| before.find(serves))
}

/// The settled state that gives the unproven versions the least weight; among equals the newest.
pub(super) fn way_back<'a>(
    journal: &'a Journal,
    rising: &std::collections::BTreeSet<VersionName>,
) -> Option<&'a Settled> {
    let candidates = journal.way_back.iter().chain(journal.settled.iter().rev());
    // The first of equals wins: an open walk's own way back, then the newest. What a retreat has left is no way back.
    candidates.min_by_key(|settled| {
        (!journal.within_proof(&settled.state), super::walk::total(&settled.state.traffic, rising))
    })
}

/// Pins of the plan that may be written now: their version is reached already or has ready endpoints. The first
/// other one is returned as what is waited for.
pub(super) fn pins(world: &World, journal: &Journal, state: &State) -> (Vec<crate::plan::Pin>, Option<Reason>) {
    let reached = state.reached();
    let mut waits = None;
    let mut open = Vec::new();
    for pin in &journal.plan.routing.pins {
        if reached.contains(&pin.to) || is_ready(world, &pin.to, 1, None).is_ok() {
            open.push(pin.clone());
        } else if waits.is_none() {
            let waited = Reason::Pin { name: pin.name.clone(), version: pin.to.clone() };
            waits = Some(where_least(world, &pin.to, waited));
        }
    }
    (open, waits)
}
