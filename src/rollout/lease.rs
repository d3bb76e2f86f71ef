//! Who may raise where several tidegates run: whoever holds the lease. Going back needs none (law 3).
//!
//! A decision is the same with and without the lease but for this: without it nothing rises, and of what is decided only
//! that is written which leads back. A lease counts until an instant of this process's own clock, never of another's.

use std::sync::Arc;

use jiff::Timestamp;

use crate::plan::Version;

use super::{Apply, ClusterView, Decision, Goal, Journal, Phase, Reason, World, exposes};

/// What this process knows of the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lease {
    /// It is the only one, and asks nobody.
    Alone,
    /// It holds the lease.
    Held {
        /// The lease's term: it rises whenever another process takes the lease.
        term: u64,
        /// Until when that is sure.
        until: Timestamp,
    },
    /// Another process holds it, or nobody is known to.
    Elsewhere {
        /// Who.
        holder: Option<Arc<str>>,
    },
    /// It is a guard: no lease is ever its own, and all that it knows is what stands in one cluster.
    Guard,
}

impl Lease {
    /// Whether this process may do at this instant what only one of many does.
    pub fn leads(&self, now: Timestamp) -> bool {
        match self {
            Self::Alone => true,
            Self::Held { until, .. } => now < *until,
            Self::Elsewhere { .. } | Self::Guard => false,
        }
    }
}

/// Why nothing may rise at this instant; none: it may.
pub(super) fn missing(world: &World, now: Timestamp) -> Option<Reason> {
    #[cfg(test)]
    if crate::sabotage::is(crate::sabotage::Sabotage::LeaseIgnored) {
        return None;
    }
    let term = match &world.lease {
        Lease::Alone => return None,
        Lease::Guard => return Some(Reason::GuardOnly),
        Lease::Elsewhere { holder } => return Some(Reason::NoLease { holder: holder.clone(), outdated: None }),
        Lease::Held { .. } if !world.lease.leads(now) => return Some(Reason::NoLease { holder: None, outdated: None }),
        Lease::Held { term, .. } => *term,
    };
    let seen = world.clusters.values().flat_map(|view| {
        let live = view.journal.as_ref().and_then(|journal| journal.as_ref().ok());
        live.into_iter().chain(&view.memory).map(|journal| journal.term)
    });
    let later = seen.max().filter(|seen| *seen > term);
    later.map(|term| Reason::NoLease { holder: None, outdated: Some(term) })
}

/// Notes in which term of the lease a position was decided.
pub(super) fn sign(journal: &mut Journal, world: &World, now: Timestamp) {
    if let Lease::Held { term, .. } = world.lease
        && world.lease.leads(now)
    {
        journal.term = journal.term.max(term);
    }
}

/// Whether giving a cluster this position leads back there: nothing gets more than it has or has proven, and either the
/// position is a way back or raises nothing any more, or something unproven gets less.
pub(super) fn leads_back(view: &ClusterView, journal: &Journal) -> bool {
    let (Some(_), Some(Ok(there))) = (&view.virtual_service, &view.journal) else { return false };
    let moves = there.state != journal.state;
    match journal.phase {
        Phase::WentBack { .. } if there.phase != journal.phase => return true,
        Phase::Released { .. } if moves && there.is_raised() => return true,
        _ => {}
    }
    let stood = |version: &Version| there.stood(version).max(journal.stood(version));
    let bounded = journal.state.traffic.iter().all(|(name, weight)| {
        let proven = journal.state.routing.version(name).map_or(0, stood);
        weight <= there.state.traffic.weight(name).max(proven)
    });
    let lowers = || there.state.traffic.iter().any(|(name, weight)| journal.state.traffic.weight(name) < weight);
    moves && bounded && (journal.rising.is_empty() || lowers())
}

/// Without the lease nothing is written but what leads back, and what puts back a change that exposes callers (law 4). A
/// guard leaves what people change as it stands: where nobody else is left, it is theirs.
pub(super) fn confine(world: &World, mut decision: Decision, now: Timestamp) -> Decision {
    decision.withheld = missing(world, now);
    if decision.withheld.is_none() || world.lease == Lease::Guard {
        return decision;
    }
    for (name, goal) in &mut decision.goals {
        let Goal::Apply(apply) = goal else { continue };
        let Some(view) = world.clusters.get(name).filter(|_| !apply.back) else { continue };
        let Some(Ok(there)) = &view.journal else { continue };
        let (route, rule) = (view.virtual_service.as_deref(), view.destination_rule.as_deref());
        if route.is_some() && !there.is_released() && exposes(there, route, rule) {
            *apply = Apply {
                journal: there.clone(),
                journal_changed: false,
                subsets: there.kept_subsets(),
                remove_at: None,
                awaits: false,
                copy: false,
                leave: false,
                back: true,
            };
        }
    }
    decision
}
