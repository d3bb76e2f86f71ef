//! Clusters that do not stand where the others do: those of later waves, and those in which alone a step has failed.
//!
//! The journal of a plan is one, and each cluster carries it as it holds there: its `state` is what stands in that very
//! cluster, so whoever reads one object alone (a person, `status`, the way back) reads what is true of it. Before anything
//! is decided all of them are turned to the front's view, in which `state` is what the front has.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;

use crate::plan::{Plan, Span, VersionName};

use super::{ClusterName, Journal, Lease, Reason, State, What, World, accept, barrier, gates, guard, newcomer};

/// Where the clusters stand that do not have the present position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apart {
    /// How many waves of the plan have the present position.
    pub reached: usize,
    /// Those of the others that had it, and in which it failed.
    pub fallen: BTreeSet<ClusterName>,
    /// What stands in each of the others. Shared, as each of their journals has all of it.
    pub clusters: Arc<BTreeMap<ClusterName, State>>,
    /// In the journal of one of them what stands in front; none in the front's own.
    pub front: Option<State>,
}

impl Apart {
    /// Takes in the clusters that only another journal of the same position knows of.
    pub(super) fn take_in(&mut self, other: &Self) {
        self.fallen.extend(other.fallen.iter().cloned());
        if other.clusters.keys().all(|name| self.clusters.contains_key(name)) {
            return;
        }
        let clusters = Arc::make_mut(&mut self.clusters);
        for (name, state) in other.clusters.iter() {
            clusters.entry(name.clone()).or_insert_with(|| state.clone());
        }
    }

    /// Later waves, as the front knows them; none where all have the position.
    fn of(reached: usize, clusters: BTreeMap<ClusterName, State>) -> Option<Box<Self>> {
        if clusters.is_empty() {
            return None;
        }
        Some(Box::new(Self { reached, fallen: BTreeSet::new(), clusters: Arc::new(clusters), front: None }))
    }
}

impl Plan {
    /// The place of a cluster in the waves: one that no wave names comes last.
    pub(super) fn wave(&self, cluster: &str) -> usize {
        let named = |wave: &Vec<ClusterName>| wave.iter().any(|name| name == cluster);
        self.waves.iter().position(named).unwrap_or(self.waves.len().saturating_sub(1))
    }
}

impl Journal {
    /// The journal as a cluster carries it that stands apart; none where it stands with the front.
    pub(super) fn as_in(&self, cluster: &str) -> Option<Self> {
        let apart = self.apart.as_deref()?;
        let state = apart.clusters.get(cluster)?.clone();
        let front = Some(self.state.clone());
        Some(Self { state, apart: Some(Box::new(Apart { front, ..apart.clone() })), ..self.clone() })
    }

    /// The journal as the front carries it.
    pub(super) fn in_front(self: Arc<Self>) -> Arc<Self> {
        let Some(front) = self.apart.as_ref().and_then(|apart| apart.front.clone()) else { return self };
        let mut journal = Self::clone(&self);
        journal.state = front;
        if let Some(apart) = &mut journal.apart {
            apart.front = None;
        }
        Arc::new(journal)
    }

    /// How many of how many waves have the present position, where not all have it, and whether this journal is of a
    /// cluster that does.
    pub fn waves(&self) -> Option<(usize, usize, bool)> {
        let apart = self.apart.as_deref().filter(|_| self.plan.waves.len() > 1)?;
        Some((apart.reached, self.plan.waves.len(), apart.front.is_none()))
    }

    /// All stand alike again.
    pub(super) fn together(&mut self) {
        self.apart = None;
    }
}

/// A raise was decided from `left`: the first wave enters it, and all others stay there, as do those that do not answer.
pub(super) fn begin(journal: &mut Journal, world: &World, left: State, absent: &BTreeSet<ClusterName>) {
    #[cfg(test)]
    if crate::sabotage::is(crate::sabotage::Sabotage::WavesAtOnce) {
        return;
    }
    let first = first_wave(journal, world.clusters.keys());
    let is_later = |name: &&ClusterName| first.is_some_and(|first| journal.plan.wave(name) > first);
    let stay = world.clusters.keys().filter(|name| is_later(name) || absent.contains(*name));
    journal.apart =
        Apart::of(first.map_or(0, |first| first + 1), stay.map(|name| (name.clone(), left.clone())).collect());
}

fn first_wave<'a>(journal: &Journal, clusters: impl Iterator<Item = &'a ClusterName>) -> Option<usize> {
    if journal.plan.waves.len() < 2 {
        return None;
    }
    clusters.map(|name| journal.plan.wave(name)).min()
}

/// What a version has where it has least.
pub(super) fn least(journal: &Journal, name: &VersionName) -> u8 {
    let elsewhere = journal.apart.iter().flat_map(|apart| apart.clusters.values());
    let weight = |state: &State| state.traffic.weight(name);
    elsewhere.map(weight).fold(weight(&journal.state), u8::min)
}

/// The clusters that a raise is entered in, and those that have it already: whether they can serve is what counts.
pub(super) fn entering<'a>(journal: &Journal, world: &'a World) -> Cow<'a, World> {
    let next = match &journal.apart {
        Some(apart) => {
            let behind = apart.clusters.keys().filter(|name| world.clusters.contains_key(*name));
            first_wave(journal, behind).map(|next| next.max(apart.reached.saturating_sub(1)))
        }
        None => first_wave(journal, world.clusters.keys()),
    };
    let Some(next) = next else { return Cow::Borrowed(world) };
    let mut entering = world.clone();
    entering.clusters.retain(|name, _| journal.plan.wave(name) <= next);
    Cow::Owned(entering)
}

/// The next wave enters what those before it have held, and so do those that answer again; its hold is the same.
///
/// # Errors
/// What stands in the way of any raise there.
pub(super) fn next_wave(journal: &mut Journal, world: &World, now: Timestamp) -> Result<(), Reason> {
    leave_out(journal, world);
    let Some(apart) = journal.apart.clone() else { return Ok(()) };
    let absent = barrier::absent(world, journal);
    // Those that fell begin anew.
    let behind: Vec<&ClusterName> =
        apart.clusters.keys().filter(|name| !apart.fallen.contains(*name) && !absent.contains(*name)).collect();
    let next = first_wave(journal, behind.iter().copied());
    let enters: BTreeSet<&ClusterName> =
        behind.into_iter().filter(|name| next.is_none_or(|next| journal.plan.wave(name) == next)).collect();
    let Some(first) = enters.first() else {
        // All that are left do not answer.
        return gates::away(world).map_or(Ok(()), Err);
    };
    let there = journal.as_in(first);
    let present = barrier::without(world, &absent);
    gates::entry(&present, there.as_ref().unwrap_or(journal), &journal.state.traffic, now)?;
    let reached = next.map_or(apart.reached, |next| apart.reached.max(next + 1));
    let note = match next {
        Some(next) => format!("wave {} of {}", next + 1, journal.plan.waves.len()),
        None => format!("{} behind the others", enters.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")),
    };
    let later = apart.clusters.iter().filter(|(name, _)| !enters.contains(name));
    journal.apart = Apart::of(reached, later.map(|(name, state)| (name.clone(), state.clone())).collect());
    let (phase, hold) = (journal.phase.clone(), journal.hold);
    accept::enter(journal, now, phase, hold);
    accept::note(journal, now, What::WaveEntered, note);
    Ok(())
}

/// Forgets where clusters stand that are none of the plan's any more. A guard sees one cluster alone.
fn leave_out(journal: &mut Journal, world: &World) {
    let Some(apart) = journal.apart.as_mut().filter(|_| world.lease != Lease::Guard) else { return };
    let is_left = |name: &ClusterName| world.clusters.contains_key(name);
    if apart.clusters.keys().all(is_left) {
        return;
    }
    Arc::make_mut(&mut apart.clusters).retain(|name, _| is_left(name));
    apart.fallen.retain(is_left);
    if apart.clusters.is_empty() {
        journal.together();
    }
}

/// Another plan has come: where it orders the clusters otherwise, what the first waves had alone is taken back from them,
/// for nobody has said in which order the others would follow. Where some have fallen, all will begin anew.
pub(super) fn reorder(journal: &mut Journal, plan: &Plan, now: Timestamp) {
    let Some(apart) =
        journal.apart.as_deref().filter(|apart| apart.fallen.is_empty() && journal.plan.waves != plan.waves)
    else {
        return;
    };
    if let Some(state) = apart.clusters.values().next().cloned() {
        journal.state = state;
        accept::note(journal, now, What::TakenBack, "the clusters go in another order".to_owned());
        // What stood there before has passed its gates.
        (journal.converged, journal.elapsed_ms, journal.hold) = (None, 0, Span::ZERO);
    }
    journal.together();
}

/// A cluster that joins while some stand apart is of its wave.
pub(super) fn join(journal: &mut Journal, world: &World) {
    let Some(apart) = journal.apart.as_deref_mut() else { return };
    let Some(state) = apart.clusters.values().next().cloned() else { return };
    let reached = apart.reached;
    let plan = journal.plan.clone();
    let missing = world
        .clusters
        .iter()
        .filter(|(name, view)| newcomer::is_new(view) && plan.wave(name) >= reached && plan.waves.len() > 1);
    for (name, _) in missing {
        Arc::make_mut(&mut apart.clusters).entry(name.clone()).or_insert_with(|| state.clone());
    }
}

/// Whether a step that fails in some clusters, or has failed there, stands in others: one that is away has it until
/// something else is known.
pub(super) fn stands_elsewhere(journal: &Journal, world: &World, failing: &BTreeSet<&ClusterName>) -> bool {
    let apart = |name: &ClusterName| journal.apart.as_ref().is_some_and(|apart| apart.clusters.contains_key(name));
    (journal.failure.is_some() || !failing.is_empty())
        && journal.is_raised()
        && (guard::sees_a_part(journal, world)
            || world
                .clusters
                .iter()
                .any(|(name, view)| !apart(name) && !failing.contains(name) && !newcomer::is_new(view)))
}

/// Takes a step back in the clusters in which it failed, and in them alone. Returns whether there are new ones.
pub(super) fn fall(journal: &mut Journal, world: &World, failing: &BTreeSet<&ClusterName>) -> bool {
    let Some(refuge) = gates::refuge(world, journal).map(|settled| settled.state.clone()) else { return false };
    let reached = journal.plan.waves.len();
    let apart = journal.apart.get_or_insert_with(|| {
        Box::new(Apart { reached, fallen: BTreeSet::new(), clusters: Arc::default(), front: None })
    });
    let fresh: Vec<&ClusterName> = failing.iter().copied().filter(|name| !apart.fallen.contains(*name)).collect();
    for name in &fresh {
        apart.fallen.insert((*name).clone());
        Arc::make_mut(&mut apart.clusters).insert((*name).clone(), refuge.clone());
    }
    !fresh.is_empty()
}

/// What stands has failed and is held: where it does not stand, as its write was refused or missed, it is not entered.
pub(super) fn stay(journal: &mut Journal, world: &World) {
    let lacks = |state: &State| {
        let less = |name: &VersionName| state.traffic.weight(name) < journal.state.traffic.weight(name);
        journal.rising.iter().any(less)
    };
    let known = world.clusters.iter().filter(|(_, view)| view.away_since.is_none() && !view.unanswered);
    let known =
        known.filter(|(name, _)| journal.apart.as_ref().is_none_or(|apart| !apart.clusters.contains_key(*name)));
    let stands =
        known.filter_map(|(name, view)| Some((name.clone(), view.journal.as_ref()?.as_ref().ok()?.state.clone())));
    let without: Vec<(ClusterName, State)> = stands.filter(|(_, state)| lacks(state)).collect();
    if without.is_empty() || !journal.is_raised() {
        return;
    }
    let reached = journal.plan.waves.len();
    let apart = journal.apart.get_or_insert_with(|| {
        Box::new(Apart { reached, fallen: BTreeSet::new(), clusters: Arc::default(), front: None })
    });
    apart.fallen.extend(without.iter().map(|(name, _)| name.clone()));
    Arc::make_mut(&mut apart.clusters).extend(without);
}

/// Whether a step has been taken back in some clusters alone.
pub(super) fn has_fallen(journal: &Journal) -> bool {
    journal.apart.as_ref().is_some_and(|apart| !apart.fallen.is_empty())
}
