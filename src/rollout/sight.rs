//! What a plan starts from: the journal where there is one, else what is live, else what the plan says callers get.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    istio::{self, ObjectKind, lens},
    plan::{ObjectKey, Plan, Revision, Routing, Span, Traffic, VersionName},
};

use super::{
    ClusterName, ClusterView, Goal, Journal, JournalError, MANAGED_BY, OWNER, Owner, Phase, Proof, Reason, SUBSETS,
    Settled, State, Transition, Wanted, What, World,
};

/// What is known of a plan's position.
pub(super) enum Sight {
    /// A journal, and where it was found.
    Journal(Arc<Journal>, Origin),
    /// Nothing is live.
    Nothing,
    /// A VirtualService that carries no label of tidegate.
    Unlabelled(Arc<Value>),
    /// The position is lost or not readable.
    Unreadable(Reason),
}

/// Where a position comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The object that carries it.
    Live,
    /// This process's memory, the copy, or another cluster of the plan.
    Restored,
    /// The repository's notes.
    Noted,
    /// Nothing was known: it was made just now.
    First,
}

impl Origin {
    /// Of what two clusters know together.
    fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::Restored }
    }
}

/// Whether an object carries tidegate's label.
pub fn is_ours(object: &Value) -> bool {
    let label =
        |metadata: &Value| metadata.get("labels")?.get(MANAGED_BY.0)?.as_str().map(|value| value == MANAGED_BY.1);
    object.get("metadata").and_then(label).unwrap_or(false)
}

/// Whether an object carries the label, or at least the owner's annotation: a label that somebody took off is put back.
pub fn is_marked(object: &Value) -> bool {
    is_ours(object) || owner_on(object).is_some()
}

/// The owner that an object names, as written.
pub(super) fn owner_on(object: &Value) -> Option<&str> {
    lens::annotation(object, OWNER)
}

/// That the routes are another plan's, as of the first cluster whose route names it.
pub(super) fn other_plan(world: &World, owner: &Owner) -> Reason {
    let owner = owner.to_string();
    let names = |view: &ClusterView| view.virtual_service.as_deref().and_then(owner_on) == Some(owner.as_str());
    let there = world.clusters.iter().find(|(_, view)| names(view)).map(|(name, _)| name);
    let reason = Reason::OtherPlan { owner };
    if let Some(cluster) = there { reason.of(cluster) } else { reason }
}

/// The goals for a plan that was removed before its routes came to be: the DestinationRule that was made for them goes
/// where the plan says so, unless it may have been somebody else's.
pub(super) fn unfinished(world: &World) -> BTreeMap<ClusterName, Goal> {
    let pruned = world.former.as_ref().filter(|plan| plan.prune && !plan.take_ownership);
    let goal = |view: &ClusterView| {
        let rule =
            view.destination_rule.as_deref().filter(|_| view.virtual_service.is_none()).filter(|rule| is_ours(rule));
        let owner = rule.and_then(owner_on).zip(pruned);
        let made = owner.is_some_and(|(owner, plan)| match &world.repository {
            Some(repository) => owner == format!("{repository}/{}", plan.key),
            None => owner.ends_with(&format!("/{}", plan.key)),
        });
        if made && view.away_since.is_none() { Goal::Prune } else { Goal::Keep }
    };
    world.clusters.iter().map(|(name, view)| (name.clone(), goal(view))).collect()
}

/// Whether a cluster's VirtualService is somebody else's: it carries no mark, or was made anew, so that what this process
/// remembers is of another object.
pub(super) fn is_foreign(cluster: &ClusterView) -> bool {
    let Some(live) = cluster.virtual_service.as_deref().filter(|_| cluster.journal.is_none()) else { return false };
    !(is_marked(live) || cluster.was_ours && cluster.memory.is_some())
}

/// What one cluster knows; `plan` is the one that the repository's notes are asked for, if they are.
fn of_cluster(cluster: &ClusterView, plan: Option<&Plan>) -> Sight {
    let restored = cluster.memory.clone().or_else(|| cluster.copy.clone());
    let Some(live) = &cluster.virtual_service else {
        return match (restored, plan) {
            (Some(journal), _) => Sight::Journal(journal, Origin::Restored),
            (None, Some(_)) => noted(cluster.noted.position()).unwrap_or(Sight::Nothing),
            (None, None) => Sight::Nothing,
        };
    };
    let outdated = |journal: &Journal| cluster.copy.as_deref().is_some_and(|copy| journal.is_older_than(copy));
    let detail = match &cluster.journal {
        Some(Ok(journal)) if outdated(journal) => "it is older than its copy".to_owned(),
        Some(Ok(journal)) => return Sight::Journal(journal.clone(), Origin::Live),
        Some(Err(JournalError::Newer(version))) => {
            return Sight::Unreadable(Reason::JournalNewer { version: *version });
        }
        Some(Err(error)) => error.to_string(),
        None if is_foreign(cluster) => return Sight::Unlabelled(live.clone()),
        None => "the annotation tidegate.dev/journal is missing".to_owned(),
    };
    match (restored, plan) {
        (Some(journal), _) => Some(Sight::Journal(journal, Origin::Restored)),
        (None, Some(plan)) => noted(cluster.noted.position_of(plan)),
        (None, None) => None,
    }
    .unwrap_or(Sight::Unreadable(Reason::JournalLost { detail }))
}

/// What the notes make known, if anything.
fn noted(position: Result<Option<Arc<Journal>>, Reason>) -> Option<Sight> {
    match position {
        Ok(position) => position.map(|journal| Sight::Journal(journal, Origin::Noted)),
        Err(reason) => Some(Sight::Unreadable(reason)),
    }
}

/// Joins what every cluster knows: proof is the least, failed keys and subsets the union, convergence the latest, and a
/// that has lost its journal takes it from the others.
pub(super) fn join(world: &World) -> Sight {
    let mut joined: Option<(Arc<Journal>, Origin, bool)> = None;
    let mut other = Sight::Nothing;
    // Without a plan in force there is nothing to go on with: the notes are not asked.
    let noted = match &world.wanted {
        Wanted::Plan { plan, .. } if world.settings.notes => Some(&**plan),
        _ => None,
    };
    for (name, view) in &world.clusters {
        let away = view.away_since.is_some();
        match of_cluster(view, noted) {
            Sight::Journal(journal, origin) => {
                let journal = journal.in_front();
                joined = Some(match joined {
                    None => (journal, origin, away),
                    Some((one, before, gone)) if one == journal => (one, before.and(origin), gone && away),
                    Some((one, before, gone)) => {
                        (Arc::new(merge((&one, gone), (&journal, away))), before.and(origin), gone && away)
                    }
                });
            }
            Sight::Nothing => {}
            Sight::Unlabelled(_) if matches!(other, Sight::Unreadable(_)) => {}
            Sight::Unreadable(reason) => other = Sight::Unreadable(reason.of(name)),
            unlabelled => other = unlabelled,
        }
    }
    if let Some((journal, ..)) = &mut joined {
        let early = early_subsets(world);
        if !early.is_subset(&journal.subsets) {
            Arc::make_mut(journal).subsets.extend(early);
        }
    }
    match (joined, other) {
        (_, Sight::Unreadable(reason)) if matches!(reason.plainly(), Reason::JournalNewer { .. }) => {
            Sight::Unreadable(reason)
        }
        (Some((journal, origin, _)), _) => Sight::Journal(journal, origin),
        (None, other) => other,
    }
}

/// The subsets that tidegate gave a DestinationRule before there was a VirtualService whose journal could name them.
fn early_subsets(world: &World) -> BTreeSet<VersionName> {
    let rules = world.clusters.values().filter_map(|view| view.destination_rule.as_deref());
    let named = rules.filter_map(|rule| lens::annotation(rule, SUBSETS));
    named.flat_map(|names| names.split(',')).filter(|name| !name.is_empty()).map(VersionName::new).collect()
}

/// When the position came to be: a way back in a cluster that an entered step never reached enters nothing there, and
/// yet it is newer than that step.
fn decided(journal: &Journal) -> (Option<Timestamp>, bool, Timestamp) {
    let back = matches!(journal.phase, Phase::WentBack { .. } | Phase::Released { .. });
    (journal.transitions.last().map(|last| last.at), back, journal.entered)
}

/// Whether a journal went back from the very content that the other raises.
fn went_back_from(back: &Journal, raised: &Journal) -> bool {
    matches!(back.phase, Phase::WentBack { .. })
        && raised.is_raised()
        && back.has_failed(&raised.plan, &raised.rising, |name| raised.under_test(name))
}

/// Whether the second of two journals is the newer one.
fn is_behind(one: &Journal, two: &Journal) -> bool {
    if one.transitions == two.transitions {
        // A document that moves nothing is told by no transition, and settles again.
        let settled = |journal: &Journal| (journal.settled.last().map(|settled| settled.at), journal.entered);
        return settled(one) < settled(two);
    }
    if !one.is_older_than(two) && !two.is_older_than(one) {
        // What one of them went back from, the other has raised meanwhile without knowing.
        match (went_back_from(one, two), went_back_from(two, one)) {
            (true, false) => return false,
            (false, true) => return true,
            _ => {}
        }
    }
    one.is_older_than(two) || (!two.is_older_than(one) && decided(one) < decided(two))
}

/// One journal of two, each with whether it is only known of clusters that do not answer.
fn merge((one, one_away): (&Journal, bool), (two, two_away): (&Journal, bool)) -> Journal {
    let (newer, older, away) = if is_behind(one, two) { (two, one, one_away) } else { (one, two, two_away) };
    let mut merged = newer.clone();
    // Every cluster had the position when one of them was told so.
    let same_position = newer.entered == older.entered && newer.state == older.state;
    merged.converged = match (newer.converged, older.converged) {
        (Some(one), Some(other)) => Some(one.max(other)),
        (one, other) if same_position => one.or(other),
        // What was left behind there takes nothing from the others that had it.
        (one, _) if away => one,
        _ => None,
    };
    for key in &older.failed {
        if !merged.failed.contains(key) {
            merged.failed.push(key.clone());
        }
    }
    // A name that one of them lets go of may still be on its way to the other.
    merged.subsets.extend(older.subsets.iter().cloned());
    // A cluster that has joined since one of them was written is in the other alone.
    if newer.transitions == older.transitions
        && let (Some(apart), Some(there)) = (&mut merged.apart, &older.apart)
    {
        apart.take_in(there);
    }
    // What settled had converged in every cluster: one that has not had that write yet takes no proof away.
    if !older.is_older_than(newer) {
        merged.proof.retain(|name, proof| match older.proof.get(name) {
            Some(there) if there.digest == proof.digest => {
                proof.weight = proof.weight.min(there.weight);
                true
            }
            _ => false,
        });
    }
    merged
}

/// The journal of a plan that nothing is known of, or why it can't start.
///
/// Where nothing is live, a plan without steps starts at its target; one with steps at `from`, else at the only
/// version with ready endpoints. A live route that may be taken over starts at what is live.
pub(super) fn first(
    world: &World,
    plan: &Arc<Plan>,
    revision: &Revision,
    owner: &Owner,
    live: Option<&Value>,
    now: Timestamp,
) -> Result<Journal, Reason> {
    may_begin(world, plan, owner)?;
    let (traffic, what) = match live {
        Some(live) if !plan.take_ownership => {
            let theirs = match owner_on(live) {
                Some(other) if is_ours(live) => Reason::OtherPlan { owner: other.to_owned() },
                _ => Reason::Foreign { kind: ObjectKind::VirtualService, object: plan.object() },
            };
            let mut has = world.clusters.iter().filter(|(_, view)| view.virtual_service.as_deref() == Some(live));
            return Err(has.next().map_or(theirs.clone(), |(name, _)| theirs.of(name)));
        }
        Some(live) => (adopted_alike(world, plan, live)?, What::Adopted),
        None => (baseline(world, plan)?, What::Created),
    };
    let unproven = live.is_none() && plan.steps.is_empty();
    if live.is_none() {
        super::gates::open(world, plan.pause, now)?;
        // What callers get today is served by what is there today.
        let needed = if unproven { plan.readiness.min_endpoints } else { 1 };
        super::gates::can_serve(world, &traffic, needed)?;
    }
    let routing = Arc::new(Routing { pins: Vec::new(), ..plan.routing.clone() });
    let state = State { traffic: traffic.clone(), routing };
    let mut journal = Journal {
        owner: owner.clone(),
        plan: plan.clone(),
        revision: revision.clone(),
        origin: traffic.clone(),
        phase: if unproven { Phase::Target } else { Phase::Settled },
        rising: if unproven { traffic.iter().map(|(name, _)| name.clone()).collect() } else { BTreeSet::new() },
        entered: now,
        hold: if unproven { plan.settle } else { Span::ZERO },
        converged: None,
        elapsed_ms: 0,
        proof: BTreeMap::new(),
        tested: BTreeMap::new(),
        settled: Arc::default(),
        way_back: None,
        way_back_ready: BTreeMap::new(),
        elsewhere: BTreeMap::new(),
        failed: Vec::new(),
        stop: None,
        failure: None,
        restore: None,
        transitions: Arc::default(),
        subsets: early_subsets(world),
        owns_traffic_policy: false,
        convergence_wait_ms: None,
        asks_proxies: false,
        apart: None,
        term: 0,
        state,
    };
    if !unproven {
        for version in &plan.routing.versions {
            let weight = traffic.weight(&version.name);
            // Whoever carries most of the traffic has shown that it can carry all of it.
            let proven = if weight > 50 { 100 } else { weight };
            if proven > 0 {
                journal.proof.insert(version.name.clone(), Proof::new(proven, version.digest()));
            }
        }
        journal.settled = Arc::new(vec![Settled { state: journal.state.clone(), revision: None, at: now }]);
    }
    let commit = revision.short().to_owned();
    journal.note(Transition { at: now, what, commit, traffic: traffic.to_string(), note: String::new() });
    Ok(journal)
}

/// Whether nothing is in the way of objects where this process has made none.
///
/// # Errors
/// What is: what others claim or made, or a cluster that does not answer.
pub(super) fn may_begin(world: &World, plan: &Plan, owner: &Owner) -> Result<(), Reason> {
    if let Some((name, by)) = world.clusters.iter().find_map(|(name, view)| Some((name, view.claims.first()?))) {
        return Err(Reason::Claimed { by: by.clone() }.of(name));
    }
    // What is live in a cluster that does not answer may be another position.
    if let Some(reason) = super::gates::away(world) {
        return Err(reason);
    }
    destinations(world, plan, owner)
}

/// Whether a DestinationRule of the plan's name may be written: one that somebody else made is taken over only where
/// the plan says so, and never with other labels under what may be running; one that is another plan's never.
fn destinations(world: &World, plan: &Plan, owner: &Owner) -> Result<(), Reason> {
    let rules = world.clusters.iter().filter_map(|(name, view)| Some((name, view.destination_rule.as_deref()?)));
    for (cluster, live) in rules {
        if is_marked(live) {
            match owner_on(live).filter(|named| is_anothers(world, named, owner)) {
                Some(named) => return Err(Reason::OtherPlan { owner: named.to_owned() }.of(cluster)),
                None => continue,
            }
        }
        if !plan.take_ownership {
            let name = plan.routing.destination_rule.name.clone();
            let object = ObjectKey { namespace: plan.key.namespace.clone(), name };
            return Err(Reason::Foreign { kind: ObjectKind::DestinationRule, object }.of(cluster));
        }
        let subsets = live.get("spec").and_then(|spec| spec.get("subsets")?.as_array());
        let differs = |subset: &Value| {
            let name = subset.get("name")?.as_str()?;
            let version = plan.routing.versions.iter().find(|version| version.name.as_str() == name)?;
            let same = subset.get("labels") == serde_json::to_value(&version.labels).ok().as_ref();
            (!same).then(|| format!("subset {name} of the DestinationRule selects other labels"))
        };
        let parts: Vec<String> = subsets.into_iter().flatten().filter_map(differs).collect();
        if !parts.is_empty() {
            return Err(Reason::CannotAdopt { parts }.of(cluster));
        }
    }
    Ok(())
}

/// Whether an object names a plan of another repository, or another one of the same that lives.
fn is_anothers(world: &World, named: &str, owner: &Owner) -> bool {
    let own = named.strip_prefix(owner.repository.as_str()).is_some_and(|rest| rest.starts_with('/'));
    named != owner.to_string() && (!own || world.living_owners.iter().any(|living| living == named))
}

/// What is live in every cluster that has a route, where that is the same.
fn adopted_alike(world: &World, plan: &Plan, live: &Value) -> Result<Traffic, Reason> {
    let routes = world.clusters.iter().filter_map(|(name, view)| Some((name, view.virtual_service.as_deref()?)));
    let each = routes.map(|(name, route)| Ok((name, adopted(plan, route).map_err(|reason| reason.of(name))?)));
    let each = each.collect::<Result<Vec<(&ClusterName, Traffic)>, Reason>>()?;
    let traffic = adopted(plan, live)?;
    if each.iter().all(|(_, there)| *there == traffic) {
        return Ok(traffic);
    }
    let parts = each.iter().map(|(name, there)| format!("{there} in cluster {name}")).collect();
    Err(Reason::CannotAdopt { parts })
}

/// What a live route gives the plan's versions.
pub(super) fn adopted(plan: &Plan, live: &Value) -> Result<Traffic, Reason> {
    let shares = istio::live_shares(live, &plan.routing);
    match shares.traffic {
        Some(traffic) if shares.foreign.is_empty() => Ok(traffic),
        _ if shares.foreign.is_empty() => {
            Err(Reason::CannotAdopt { parts: vec!["its routes do not all carry the same weights".to_owned()] })
        }
        _ => Err(Reason::CannotAdopt { parts: shares.foreign }),
    }
}

fn baseline(world: &World, plan: &Plan) -> Result<Traffic, Reason> {
    if plan.steps.is_empty() {
        return Ok(plan.traffic.clone());
    }
    if let Some(from) = &plan.from {
        return Ok(from.clone());
    }
    let serving =
        |name| world.clusters.values().any(|cluster| cluster.endpoints(name).ready.is_some_and(|ready| ready > 0));
    let mut able = plan.routing.versions.iter().map(|version| &version.name).filter(|name| serving(name));
    match (able.next(), able.next()) {
        (Some(only), None) => Ok(Traffic::all(only.clone())),
        _ => Err(Reason::NoBaseline),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Apart, *};

    #[test]
    fn a_cluster_that_joined_is_known_whichever_journal_comes_first() {
        let text = include_str!("../../tests/fuzz/corpus/journal/settled.json");
        let before = Journal::decode(text.trim()).unwrap();
        let state = before.state.clone();
        let apart = |names: &[&str]| {
            let clusters = names.iter().map(|name| ((*name).to_owned(), state.clone())).collect();
            let apart = Apart { reached: 1, fallen: BTreeSet::new(), clusters: Arc::new(clusters), front: None };
            Journal { apart: Some(Box::new(apart)), ..before.clone() }
        };
        let (without, with) = (apart(&["west"]), apart(&["north", "west"]));
        for (one, two) in [(&without, &with), (&with, &without)] {
            assert_eq!(merge((one, false), (two, false)).apart, with.apart);
        }
    }
}
