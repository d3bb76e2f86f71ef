//! Reads everything that a cluster's watch caches hold, once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::Value;

use super::{Cluster, Endpoints, Role, Seen, watch, watch_endpoints};
use crate::{istio::ObjectKind, plan::ObjectKey};

const DEADLINE: Duration = Duration::from_secs(30);

/// The Istio objects of a cluster at one moment, with the index of its endpoints.
pub struct Snapshot {
    /// VirtualServices and DestinationRules of all namespaces.
    pub objects: BTreeMap<(ObjectKind, ObjectKey), Arc<Value>>,
    /// Ready endpoints.
    pub endpoints: Endpoints,
}

/// Why a cluster could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It does not answer, or not to us.
    #[error("{why}")]
    Away {
        /// One sentence that names the cluster: what happened instead, and what to do.
        why: String,
    },
}

/// Reads a cluster, of a remote its endpoints alone; errs at its first failure, after 30 s at most.
pub async fn snapshot(cluster: &Cluster, role: Role) -> Result<Snapshot, SnapshotError> {
    let away = |why: &str| SnapshotError::Away { why: format!("cannot read cluster {}: {why}", cluster.name()) };
    let (mut seen, endpoints) = match role {
        Role::Primary => watch(cluster),
        Role::Remote => watch_endpoints(cluster),
    };
    let mut objects = BTreeMap::new();
    let read = async {
        while let Some(seen) = seen.recv().await {
            match seen {
                Seen::Object { kind, key, live: Some(live) } => {
                    objects.insert((kind, key), live);
                }
                Seen::Object { kind, key, live: None } => {
                    objects.remove(&(kind, key));
                }
                Seen::Synced => return Ok(()),
                Seen::Away { error, .. } => return Err(SnapshotError::Away { why: error }),
                Seen::Endpoints { .. } | Seen::ClusterLocal(_) | Seen::Back => {}
            }
        }
        Err(away("the watch ended"))
    };
    tokio::time::timeout(DEADLINE, read).await.map_err(|_| away(&format!("no answer in {DEADLINE:?}")))??;
    Ok(Snapshot { objects, endpoints })
}
