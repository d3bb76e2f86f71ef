//! In one mesh of several clusters the pods of a version may all be in others than the one in which its callers are. Whoever
//! raises sees that, and notes it in the journal; a guard sees one cluster alone, and must not take such a version for gone.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::VersionName;

use super::{ClusterName, ClusterView, Journal, Lease, World};

/// Versions whose callers in some clusters reach pods of other clusters alone, with these clusters.
pub type Elsewhere = BTreeMap<VersionName, BTreeSet<ClusterName>>;

/// Notes it with whatever else is written. Where it is not known, what was noted before stays; what would make the journal too
/// large is left out.
pub(super) fn note(journal: &mut Journal, world: &World) {
    if world.lease == Lease::Guard {
        return;
    }
    let mut elsewhere = Elsewhere::new();
    for (cluster, view) in &world.clusters {
        for version in view.endpoints.keys() {
            if is_elsewhere(journal, cluster, view, version) {
                elsewhere.entry(version.clone()).or_default().insert(cluster.clone());
            }
        }
    }
    journal.elsewhere = elsewhere;
    if !journal.elsewhere.is_empty() && journal.fits().is_err() {
        journal.elsewhere.clear();
    }
}

fn is_elsewhere(journal: &Journal, cluster: &str, view: &ClusterView, version: &VersionName) -> bool {
    let known = view.elsewhere.get(version).copied().filter(|_| view.away_since.is_none());
    known.unwrap_or_else(|| journal.is_elsewhere(cluster, version))
}

impl Journal {
    /// Whether the pods that callers in a cluster reach were all in other clusters when this was written.
    pub fn is_elsewhere(&self, cluster: &str, version: &VersionName) -> bool {
        self.elsewhere.get(version).is_some_and(|clusters| clusters.contains(cluster))
    }
}
