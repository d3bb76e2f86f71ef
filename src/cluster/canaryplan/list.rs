//! Lists the resources that are there, page by page, and keeps of each only what later writes need.

use kube::api::{Api, ListParams};

use super::super::{Cluster, untyped::Untyped, write::DEADLINE};
use super::{Published, Written, owner_of, resource, write::refused};
use crate::plan::PlanKey;
use crate::rollout::MANAGED_BY;

/// A page is held in memory as a whole.
const PAGE_MAX: u32 = 250;

/// The resources of this repository, with what each says; 10 s a page.
pub async fn list_canaryplans(cluster: &Cluster, repository: &str) -> Published<Vec<(PlanKey, Written)>> {
    let api: Api<Untyped> = Api::all_with(cluster.client().clone(), &resource());
    let mut params = ListParams::default().labels(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1)).limit(PAGE_MAX);
    let mut found = Vec::new();
    loop {
        let page = match tokio::time::timeout(DEADLINE, api.list(&params)).await {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => return refused(error),
            Err(_) => return Published::Unknown(format!("no answer in {DEADLINE:?}")),
        };
        for live in &page.items {
            let text = |pointer: &str| live.value.pointer(pointer).and_then(serde_json::Value::as_str);
            let (Some(namespace), Some(name)) = (text("/metadata/namespace"), text("/metadata/name")) else { continue };
            let key = PlanKey { namespace: namespace.to_owned(), name: name.to_owned() };
            let ours = owner_of(&live.value).is_some_and(|owner| owner == format!("{repository}/{key}"));
            found.extend(Written::read(&live.value).filter(|_| ours).map(|written| (key, written)));
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Published::Done(found),
        }
    }
}
