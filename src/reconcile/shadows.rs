//! Which DestinationRules of others stand in front of a route's own for some callers: Istio takes the first that it finds in
//! the caller's namespace, then in that of the Service, and never merges two namespaces.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use crate::{
    istio::lens,
    plan::{Host, ObjectKey, Routing},
    rollout::is_ours,
};

use super::keys::Keys;

/// What stands here for the whole mesh is taken last, even for callers in here (`PushContext.destinationRule` of Istio).
const ROOT: &str = "istio-system";

/// The DestinationRules of one cluster that are none of tidegate's.
#[derive(Debug, Default)]
pub(super) struct Shadows {
    by_host: HashMap<Host, Keys>,
    rules: HashMap<ObjectKey, Foreign>,
}

#[derive(Debug, PartialEq)]
struct Foreign {
    host: Host,
    subsets: BTreeSet<String>,
}

impl Shadows {
    /// Takes in a DestinationRule; returns the hosts of which it may stand in front of another one now, or no more.
    pub(super) fn see(&mut self, key: &ObjectKey, live: Option<&Value>) -> Vec<Host> {
        let now = live.filter(|live| !is_ours(live)).and_then(|live| {
            let spec = live.get("spec")?;
            let host = Host::resolve(spec.get("host")?.as_str()?, lens::namespace(live));
            let exported = spec.get("exportTo").and_then(Value::as_array);
            let private = exported.is_some_and(|to| to.iter().all(|to| to.as_str() == Some(".")));
            // A pattern is about everything, often in a namespace that never calls: it would hold every plan of the cluster.
            if host.as_str().starts_with('*') || (key.namespace == ROOT && !private) {
                return None;
            }
            Some(Foreign { host, subsets: lens::subsets(live).map(str::to_owned).collect() })
        });
        let before = self.rules.remove(key);
        if let Some(before) = &before
            && let Some(keys) = self.by_host.get_mut(&before.host)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.by_host.remove(&before.host);
            }
        }
        if let Some(now) = &now {
            self.by_host.entry(now.host.clone()).or_default().insert(key);
        }
        let changed = before.iter().chain(&now).filter(|_| before != now);
        let concerned = changed.map(|rule| rule.host.clone()).collect();
        if let Some(now) = now {
            self.rules.insert(key.clone(), now);
        }
        concerned
    }

    /// The first DestinationRule of somebody else that hides versions of the routing from callers in its namespace, or, in
    /// the routing's own, defines one of them a second time.
    pub(super) fn over(&self, own: &ObjectKey, routing: &Routing) -> Option<ObjectKey> {
        let mut over = self.by_host.get(&routing.service).into_iter().flat_map(Keys::iter).filter(|key| *key != own);
        let hides = |key: &&ObjectKey| {
            let Some(rule) = self.rules.get(*key) else { return false };
            let mut names = routing.versions.iter().map(|version| version.name.as_str());
            if key.namespace == routing.namespace {
                names.any(|name| rule.subsets.contains(name))
            } else {
                !names.all(|name| rule.subsets.contains(name))
            }
        };
        over.find(hides).cloned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { namespace: namespace.into(), name: name.into() }
    }

    fn rule(namespace: &str, host: &str, subsets: &[&str]) -> Value {
        let subsets: Vec<_> = subsets.iter().map(|name| json!({"name": name})).collect();
        json!({"metadata": {"namespace": namespace}, "spec": {"host": host, "subsets": subsets}})
    }

    fn host() -> Host {
        Host::resolve("web", "shop")
    }

    #[test]
    fn a_rule_in_another_namespace_hides_the_subsets_that_it_lacks() {
        let routing = crate::istio::fixtures::routing("shop", "web", &["v1", "v2"]);
        let own = key("shop", "web");
        let mut shadows = Shadows::default();
        let full = "web.shop.svc.cluster.local";
        assert_eq!(shadows.see(&key("front", "tls"), Some(&rule("front", full, &["v1"]))), [host()]);
        assert_eq!(shadows.over(&own, &routing), Some(key("front", "tls")));
        shadows.see(&key("front", "tls"), Some(&rule("front", full, &["v1", "v2"])));
        assert_eq!(shadows.over(&own, &routing), None, "callers there find both");
        assert!(shadows.see(&key("front", "tls"), Some(&rule("front", full, &["v1", "v2"]))).is_empty());
        assert_eq!(shadows.see(&key("front", "tls"), None), [host()]);
        shadows.see(&key("front", "short"), Some(&rule("front", "web", &[])));
        assert_eq!(shadows.over(&own, &routing), None, "law 14: a short name is one of its own namespace");
    }

    #[test]
    fn what_stands_for_the_whole_mesh_hides_nothing_and_what_is_for_its_gateways_alone_does() {
        let routing = crate::istio::fixtures::routing("shop", "web", &["v1"]);
        let mut shadows = Shadows::default();
        let full = "web.shop.svc.cluster.local";
        assert!(shadows.see(&key(ROOT, "mtls"), Some(&rule(ROOT, full, &[]))).is_empty());
        let mut private = rule(ROOT, full, &[]);
        private["spec"]["exportTo"] = json!(["."]);
        assert_eq!(shadows.see(&key(ROOT, "mtls"), Some(&private)), [host()]);
        assert_eq!(shadows.over(&key("shop", "web"), &routing), Some(key(ROOT, "mtls")));
        shadows.see(&key(ROOT, "mtls"), None);
        assert!(shadows.see(&key("front", "mtls"), Some(&rule("front", "*.svc.cluster.local", &[]))).is_empty());
        assert_eq!(shadows.over(&key("shop", "web"), &routing), None);
    }

    #[test]
    fn in_the_namespace_of_the_service_a_second_definition_counts_and_no_other() {
        let routing = crate::istio::fixtures::routing("shop", "web", &["v1"]);
        let own = key("shop", "web");
        let mut shadows = Shadows::default();
        shadows.see(&key("shop", "more"), Some(&rule("shop", "web", &["other"])));
        assert_eq!(shadows.over(&own, &routing), None, "Istio merges the two");
        shadows.see(&key("shop", "more"), Some(&rule("shop", "web", &["v1"])));
        assert_eq!(shadows.over(&own, &routing), Some(key("shop", "more")));
        let mut ours = rule("shop", "web", &["v1"]);
        ours["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "tidegate"});
        shadows.see(&key("shop", "more"), Some(&ours));
        assert_eq!(shadows.over(&own, &routing), None, "tidegate's own plans are judged in Git");
    }
}
