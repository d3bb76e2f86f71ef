//! A cluster that joins a plan which stands in others already: it gets what stands there, once it can serve it, and
//! nothing rises anywhere before. What somebody else made there stays.

use super::{ClusterView, Journal, Reason, World, sight};

/// Whether nothing of the plan is in a cluster that answers, nor ever was.
pub(super) fn is_new(view: &ClusterView) -> bool {
    let known = view.memory.is_some() || view.copy.is_some();
    view.away_since.is_none() && (sight::is_foreign(view) || view.virtual_service.is_none() && !known)
}

/// Whether any cluster is still to get what stands in the others.
pub(super) fn joins(world: &World) -> bool {
    world.clusters.len() > 1 && world.clusters.values().any(is_new)
}

/// Why a cluster does not get what stands in the others, for people; none where nothing keeps it from that.
fn obstacle(view: &ClusterView, journal: &Journal) -> Option<String> {
    if !is_new(view) {
        return None;
    }
    if let Some(cause) = &journal.failure {
        return Some(format!("what stands in the others has failed: {cause}"));
    }
    if let Some(live) = view.virtual_service.as_deref() {
        let object = journal.plan.object();
        if !journal.plan.take_ownership {
            return Some(format!(
                "VirtualService {object} was made by somebody else there; delete it, or say `takeOwnership: true`"
            ));
        }
        let stands = &journal.state.traffic;
        return match sight::adopted(&journal.plan, live) {
            Ok(traffic) if traffic == *stands => None,
            Ok(traffic) => Some(format!(
                "VirtualService {object} there routes {traffic}, and the plan stands at {stands}; delete it, or give it \
                 these weights"
            )),
            Err(reason) => Some(reason.to_string()),
        };
    }
    let unready =
        journal.state.traffic.iter().find(|(name, _)| view.endpoints(name).ready.is_none_or(|ready| ready == 0));
    unready.map(|(name, _)| format!("no ready endpoint of version {name} is known there"))
}

/// Why any cluster does not get what stands in the others.
pub(super) fn held(world: &World, journal: &Journal) -> Option<Reason> {
    if world.clusters.len() < 2 {
        return None;
    }
    let mut new = world.clusters.iter().filter(|(_, view)| is_new(view));
    new.find_map(|(name, view)| {
        let apart = journal.as_in(name);
        let what = obstacle(view, apart.as_ref().unwrap_or(journal))?;
        Some(Reason::NewCluster { cluster: name.clone(), what })
    })
}

/// Whether nothing is written to this cluster for that.
pub(super) fn keeps_out(world: &World, view: &ClusterView, journal: &Journal) -> bool {
    world.clusters.len() > 1 && obstacle(view, journal).is_some()
}
