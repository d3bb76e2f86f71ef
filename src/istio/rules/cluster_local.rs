//! The hosts whose callers the settings of the mesh keep to their own cluster.

use serde_json::Value;

use super::{at::At, syntax::is_within};

/// What `serviceSettings` say of hosts: of those that match, the longest counts, as in Istio.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterLocal(Vec<(String, bool)>);

impl ClusterLocal {
    /// Those of a mesh config.
    pub fn of(mesh: &Value) -> Self {
        let said = |one: &At<'_>| {
            let local = one.get("settings").is_some_and(|settings| settings.is("clusterLocal"));
            let hosts: Vec<String> = one.list("hosts").iter().filter_map(At::text).map(str::to_owned).collect();
            hosts.into_iter().map(move |host| (host, local))
        };
        Self(At::root(mesh).list("serviceSettings").iter().flat_map(said).collect())
    }

    /// Whether a full name is one of them.
    pub fn has(&self, host: &str) -> bool {
        let matching = self.0.iter().filter(|(said, _)| is_within(host, said));
        matching.max_by_key(|(said, _)| said.len()).is_some_and(|(_, local)| *local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_longest_host_that_matches_counts() {
        let local = ClusterLocal::of(&json!({"serviceSettings": [
            {"settings": {"clusterLocal": true}, "hosts": ["*.shop.svc.cluster.local", "api.x.svc.cluster.local"]},
            {"settings": {"clusterLocal": false}, "hosts": ["web.shop.svc.cluster.local"]},
            {"hosts": ["api.y.svc.cluster.local"]},
        ]}));
        for (host, is) in
            [("cart.shop", true), ("web.shop", false), ("api.x", true), ("web.x", false), ("api.y", false)]
        {
            assert_eq!(local.has(&format!("{host}.svc.cluster.local")), is, "{host}");
        }
        assert!(!ClusterLocal::of(&json!({})).has("web.shop.svc.cluster.local"));
    }
}
