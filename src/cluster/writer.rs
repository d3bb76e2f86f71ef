//! Asks who else writes an object: what the watch caches leave out is fetched when it is needed.

use kube::core::Request;
use serde_json::Value;

use super::Cluster;
use super::write::{DEADLINE, FIELD_MANAGER, LookError, words};
use crate::istio::{ObjectKind, Writer, last_writer};
use crate::plan::ObjectKey;

/// The last writer of an object that is not tidegate, or `None` where none is filed or the object is gone; errs as
/// [`LookError`], after 15 s at most.
pub async fn other_writer(cluster: &Cluster, kind: ObjectKind, key: &ObjectKey) -> Result<Option<Writer>, LookError> {
    let (name, object) = (cluster.name().to_owned(), format!("{} {key}", kind.kind()));
    let away = |message| LookError::Away { cluster: name.clone(), object: object.clone(), message };
    let url = cluster.objects(kind, &key.namespace).resource_url().to_owned();
    let request = Request::new(url).get(&key.name, &Default::default()).map_err(|error| away(words(&error)))?;
    match tokio::time::timeout(DEADLINE, cluster.client().request::<Value>(request)).await {
        Ok(Ok(live)) => Ok(last_writer(&live, FIELD_MANAGER)),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(None),
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 401 | 403) => {
            Err(LookError::Forbidden { cluster: name, object, message: status.message })
        }
        Ok(Err(error)) => Err(away(words(&error))),
        Err(_) => Err(away(format!("no answer in {DEADLINE:?}"))),
    }
}
