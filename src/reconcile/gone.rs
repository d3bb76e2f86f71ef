//! Since when versions have had no ready endpoint in a cluster, as far as that is to be seen from where this process stands.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    plan::VersionName,
    rollout::{Endpoints, Journal},
};

/// What is kept of the endpoints of one cluster.
#[derive(Clone, Default)]
pub(super) struct Gone {
    since: BTreeMap<VersionName, Timestamp>,
    /// Versions that had ready endpoints here though the journal says that they are elsewhere, with the position of that.
    came: BTreeMap<VersionName, Timestamp>,
}

impl Gone {
    /// Whether none is gone.
    pub(super) fn is_empty(&self) -> bool {
        self.since.is_empty()
    }

    /// Takes in how many endpoints of a version are ready.
    pub(super) fn see(&mut self, version: &VersionName, ready: Option<u32>, now: Timestamp) -> Endpoints {
        if ready == Some(0) {
            return Endpoints { ready, none_since: Some(*self.since.entry(version.clone()).or_insert(now)) };
        }
        self.since.remove(version);
        Endpoints { ready, none_since: None }
    }

    /// What their number says to a process that sees this cluster alone: where the journal has the pods in others, having none
    /// here is nothing known, unless some have come since.
    pub(super) fn alone(
        &mut self,
        cluster: &str,
        version: &VersionName,
        ready: Option<u32>,
        journal: Option<&Journal>,
    ) -> Option<u32> {
        let Some(journal) = journal.filter(|journal| journal.is_elsewhere(cluster, version)) else {
            self.came.remove(version);
            return ready;
        };
        if ready > Some(0) {
            self.came.insert(version.clone(), journal.entered);
        }
        ready.filter(|ready| *ready > 0 || self.came.get(version) == Some(&journal.entered))
    }
}
