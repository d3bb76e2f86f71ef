//! The part of a Lease of `coordination.k8s.io/v1` that elections are about, as JSON.

use std::time::Duration;

use serde_json::{Value, json};

/// Where a replica that does not lead says what it saw of Git.
pub(super) const HINT: &str = "tidegate.dev/hint";

/// What a lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// None: it was given away.
    pub(super) holder: Option<String>,
    pub(super) duration: Option<Duration>,
    /// As it is written: it is shown to people and compared, never counted with.
    pub(super) acquired: String,
    pub(super) renewed: String,
    pub(super) transitions: u64,
}

/// A lease as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) record: Record,
    pub(super) version: String,
    pub(super) hint: Option<String>,
}

impl Found {
    /// Reads a Lease; none where it has no resourceVersion.
    pub(super) fn read(lease: &Value) -> Option<Self> {
        let text = |pointer: &str| lease.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let number = |pointer: &str| lease.pointer(pointer).and_then(Value::as_u64);
        let hint = lease.pointer("/metadata/annotations").and_then(|all| all.get(HINT)).and_then(Value::as_str);
        let record = Record {
            holder: text("/spec/holderIdentity").filter(|holder| !holder.is_empty()),
            duration: number("/spec/leaseDurationSeconds").map(Duration::from_secs),
            acquired: text("/spec/acquireTime").unwrap_or_default(),
            renewed: text("/spec/renewTime").unwrap_or_default(),
            transitions: number("/spec/leaseTransitions").unwrap_or(0),
        };
        Some(Self { record, version: text("/metadata/resourceVersion")?, hint: hint.map(str::to_owned) })
    }
}

impl Record {
    /// Its `spec`.
    pub(super) fn spec(&self) -> Value {
        json!({
            "holderIdentity": self.holder.as_deref().unwrap_or_default(),
            "leaseDurationSeconds": self.duration.map(|duration| duration.as_secs().max(1)),
            "acquireTime": self.acquired,
            "renewTime": self.renewed,
            "leaseTransitions": self.transitions,
        })
    }
}
