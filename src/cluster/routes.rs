//! Lists the VirtualServices that carry tidegate's label, and nothing else: for whoever cannot wait for all of a cluster.

use kube::api::{Api, ListParams};
use serde_json::Value;

use super::{
    CensusError, Cluster, istio_version,
    untyped::Untyped,
    write::{DEADLINE, words},
};
use crate::{istio::ObjectKind, rollout::MANAGED_BY};

/// A page is held in memory as a whole.
const PAGE_MAX: u32 = 250;

/// Those of all namespaces; errs as [`CensusError`], after 15 s a page.
pub async fn routes(cluster: &Cluster) -> Result<Vec<Value>, CensusError> {
    istio_version(cluster).await?;
    let kind = ObjectKind::VirtualService;
    let away = |why: String| CensusError::Away { plural: kind.plural(), cluster: cluster.name().to_owned(), why };
    let api: Api<Untyped> = Api::all_with(cluster.client().clone(), &cluster.resource(kind));
    let mut params = ListParams::default().labels(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1)).limit(PAGE_MAX);
    let mut found = Vec::new();
    loop {
        let answer = tokio::time::timeout(DEADLINE, api.list(&params)).await;
        let answer = answer.map_err(|_| away(format!("no answer in {DEADLINE:?}")))?;
        let page = answer.map_err(|error| away(words(&error)))?;
        found.extend(page.items.into_iter().map(|live| live.value));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}
