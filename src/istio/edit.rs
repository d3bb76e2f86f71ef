//! One intended change of one object: what the pure rooms hand to the cluster room.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use crate::plan::ObjectKey;

/// The kinds that carry a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// `networking.istio.io` VirtualService: hosts, gateways, routes, weights and the journal.
    VirtualService,
    /// `networking.istio.io` DestinationRule: subsets and traffic policy.
    DestinationRule,
}

impl ObjectKind {
    /// The kind's name in the API.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::VirtualService => "VirtualService",
            Self::DestinationRule => "DestinationRule",
        }
    }

    /// The resource's plural in API paths.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::VirtualService => "virtualservices",
            Self::DestinationRule => "destinationrules",
        }
    }
}

/// One intended change of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// What is changed.
    pub kind: ObjectKind,
    /// Which one.
    pub key: ObjectKey,
    /// How.
    pub change: Change,
}

/// How an object is changed. Every form is compare-and-swap (law 6).
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Create it; an object of that name makes the write stale.
    Create(Value),
    /// JSON Patch that starts with tests of `/metadata/uid` and `/metadata/resourceVersion`; `meant` is the whole
    /// object as it should be answered, apart from what the server sets (resourceVersion, generation, managedFields).
    Patch {
        /// The operations, tests first.
        patch: Patch,
        /// The object as it should be afterwards.
        meant: Value,
    },
    /// Delete exactly this object.
    Delete {
        /// Its uid.
        uid: String,
        /// Its resourceVersion as seen.
        resource_version: String,
    },
}

impl Edit {
    /// Whether it can move traffic: all but a patch of metadata alone, which only records what was done.
    pub fn moves_traffic(&self) -> bool {
        let Change::Patch { patch, .. } = &self.change else { return true };
        let records = |operation: &PatchOperation| {
            matches!(operation, PatchOperation::Test(_)) || operation.path().as_str().starts_with("/metadata/")
        };
        !patch.0.iter().all(records)
    }
}
