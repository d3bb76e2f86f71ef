//! What the shell saw: everything that a decision may depend on, as values.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    istio::ObjectKind,
    plan::{ObjectKey, Plan, Revision, VersionName},
};

use super::{Fight, Images, Journal, JournalError, Lease, Noted, Owner, Proxies};

/// A cluster's name in tidegate's configuration.
pub type ClusterName = String;

/// What Git asks of one object.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// No accepted tip was read yet: nothing is known.
    Unknown,
    /// A plan in force.
    Plan {
        /// The last accepted document.
        plan: Arc<Plan>,
        /// The commit that introduced it.
        revision: Revision,
        /// Which plan of which repository this is.
        owner: Owner,
        /// The accepted tip holds a newer version of this plan that is not valid.
        newer_invalid: bool,
    },
    /// The plan was removed from its repository.
    Removed {
        /// The commit at which it was gone.
        revision: Revision,
        /// Whether it was taken out of this one cluster, and goes on in others.
        elsewhere: bool,
    },
}

/// How fresh the knowledge of Git is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSight {
    /// The last look that succeeded.
    pub last_look: Option<Timestamp>,
    /// How old it may be for a raise.
    pub max_age_s: u64,
    /// Why the commit that the branch is at does not count, with what to do; none: it does.
    pub refused: Option<Arc<str>>,
}

/// Waits and limits that hold for every plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The stated wait where nobody can be asked whether the proxies have a change, in milliseconds.
    pub convergence_wait_ms: i64,
    /// Whether istiod is asked about the proxies where a cluster has one to ask.
    pub asks_proxies: bool,
    /// How long a weighted version may be without a ready endpoint, in seconds.
    pub endpoints_gone_s: u64,
    /// Wall clock difference to the API server above which nothing rises, in milliseconds.
    pub clock_skew_max_ms: i64,
    /// Whether what came of commits is noted in the repository, and asked of its notes where a position is lost.
    pub notes: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            convergence_wait_ms: 2_000,
            asks_proxies: false,
            endpoints_gone_s: 10,
            clock_skew_max_ms: 5_000,
            notes: false,
        }
    }
}

/// Ready endpoints of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// How many are ready; none: unknown.
    pub ready: Option<u32>,
    /// Since when this process has seen none ready.
    pub none_since: Option<Timestamp>,
}

impl Endpoints {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { ready: None, none_since: None };

    /// Whether it is known that no endpoint is ready.
    pub fn known_gone(self) -> bool {
        self.ready == Some(0)
    }
}

/// One cluster as it was last seen.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterView {
    /// Whether the API server answers; none: it does, else since when it does not.
    pub away_since: Option<Timestamp>,
    /// The live VirtualService.
    pub virtual_service: Option<Arc<Value>>,
    /// The live DestinationRule.
    pub destination_rule: Option<Arc<Value>>,
    /// The journal on the VirtualService: none where there is no annotation.
    pub journal: Option<Result<Arc<Journal>, JournalError>>,
    /// The copy on the DestinationRule.
    pub copy: Option<Arc<Journal>>,
    /// The last journal that this process wrote or read.
    pub memory: Option<Arc<Journal>>,
    /// What the repository's notes say.
    pub noted: Noted,
    /// Whether this process has seen tidegate's marks on this very VirtualService.
    pub was_ours: bool,
    /// When this process first saw the present spec of the VirtualService and of the DestinationRule.
    pub spec_seen: Option<Timestamp>,
    /// When this process first saw the present spec of the DestinationRule.
    pub subsets_seen: Option<Timestamp>,
    /// How far the proxies are with the present specs; none: nobody can be asked, and a stated wait stands in for it.
    pub proxies: Option<Proxies>,
    /// Ready endpoints per version, for every version that any state in question names.
    pub endpoints: BTreeMap<VersionName, Endpoints>,
    /// Whether the pods that callers reach are all in other clusters of its mesh, where that is known.
    pub elsewhere: BTreeMap<VersionName, bool>,
    /// What their pods run, where that is known.
    pub images: BTreeMap<VersionName, Images>,
    /// VirtualServices of others that claim one of the plan's hosts on one of its gateways.
    pub claims: Vec<ObjectKey>,
    /// A DestinationRule of somebody else that hides the plan's versions from some callers.
    pub shadow: Option<ObjectKey>,
    /// A plain object that the plan names and that is not applied, with what is in the way.
    pub dependency: Option<String>,
    /// What keeps the endpoints of its mesh from being one.
    pub beyond: Option<String>,
    /// Our wall clock minus the API server's, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// A write is on its way there or its outcome is not known: what was seen may not be what is there.
    pub unanswered: bool,
    /// A write of the DestinationRule whose answer was lost may still be done.
    pub rule_late: bool,
    /// The API server's words on the last write that it refused for the present object.
    pub rejected: Option<String>,
    /// Whether it refused tidegate's rights, which says nothing about the content of the write.
    pub forbidden: bool,
    /// A fight over one of the objects.
    pub fight: Option<Fight>,
    /// Writes that the server stores otherwise than they were sent.
    pub altered: Option<Altered>,
}

/// Writes of an object that are stored otherwise than they were sent, as mutating admission does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Altered {
    /// The object's kind.
    pub kind: ObjectKind,
    /// The first place that differs, as a JSON pointer.
    pub at: String,
    /// When it is written again.
    pub until: Timestamp,
}

impl ClusterView {
    /// A cluster in which nothing is live and nothing is known.
    pub fn empty() -> Self {
        Self {
            away_since: None,
            virtual_service: None,
            destination_rule: None,
            journal: None,
            copy: None,
            memory: None,
            noted: Noted::UNASKED,
            was_ours: false,
            spec_seen: None,
            subsets_seen: None,
            proxies: None,
            endpoints: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            images: BTreeMap::new(),
            claims: Vec::new(),
            shadow: None,
            dependency: None,
            beyond: None,
            clock_offset_ms: None,
            unanswered: false,
            rule_late: false,
            rejected: None,
            forbidden: false,
            fight: None,
            altered: None,
        }
    }

    /// Ready endpoints of a version.
    pub fn endpoints(&self, version: &VersionName) -> Endpoints {
        self.endpoints.get(version).copied().unwrap_or(Endpoints::UNKNOWN)
    }
}

/// Everything that one decision sees.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// What Git asks.
    pub wanted: Wanted,
    /// What Git asked before the plan was removed, where this process saw it.
    pub former: Option<Arc<Plan>>,
    /// The repository that is followed; none: a guard follows none.
    pub repository: Option<Arc<str>>,
    /// Whether the plan that a live object names still exists in its repository, by [`Owner`] as written.
    pub living_owners: Vec<String>,
    /// How fresh that is.
    pub git: GitSight,
    /// Whether this process may raise.
    pub lease: Lease,
    /// The clusters of the plan.
    pub clusters: BTreeMap<ClusterName, ClusterView>,
    /// Waits and limits.
    pub settings: Settings,
}
