//! Lists the resources that are there, page by page.

use kube::api::{Api, ListParams};
use serde_json::Value;

use super::super::{Cluster, untyped::Untyped, write::DEADLINE};
use super::{Published, Written, owner_of, resource, write::refused};
use crate::plan::PlanKey;
use crate::rollout::MANAGED_BY;

/// A page is held in memory as a whole.
const PAGE_MAX: u32 = 250;

/// The resources of one repository, with no more of each than later writes need; 15 s a page.
pub async fn list_canaryplans(cluster: &Cluster, repository: &str) -> Published<Vec<(PlanKey, Written)>> {
    let mut found = Vec::new();
    let take = |live: Value| {
        let text = |pointer: &str| live.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let (Some(namespace), Some(name)) = (text("/metadata/namespace"), text("/metadata/name")) else { return };
        let key = PlanKey { namespace, name };
        let ours = owner_of(&live).is_some_and(|owner| owner == format!("{repository}/{key}"));
        found.extend(Written::read(&live).filter(|_| ours).map(|written| (key, written)));
    };
    each(cluster, take).await.map(|()| found)
}

/// The resources that tidegate wrote, without their specs; 15 s a page.
pub async fn canaryplans(cluster: &Cluster) -> Published<Vec<Value>> {
    let mut found = Vec::new();
    let take = |mut live: Value| {
        if let Some(fields) = live.as_object_mut() {
            fields.remove("spec");
        }
        found.push(live);
    };
    each(cluster, take).await.map(|()| found)
}

async fn each(cluster: &Cluster, mut take: impl FnMut(Value)) -> Published<()> {
    let api: Api<Untyped> = Api::all_with(cluster.client().clone(), &resource());
    let mut params = ListParams::default().labels(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1)).limit(PAGE_MAX);
    loop {
        let page = match tokio::time::timeout(DEADLINE, api.list(&params)).await {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => return refused(error),
            Err(_) => return Published::Unknown(format!("no answer in {DEADLINE:?}")),
        };
        page.items.into_iter().for_each(|live| take(live.value));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Published::Done(()),
        }
    }
}
