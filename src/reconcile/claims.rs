//! Who claims which host in the mesh: Istio uses only the oldest VirtualService of a host there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::{
    istio::lens,
    plan::{Host, MESH, ObjectKey, Routing},
};

use super::keys::Keys;

/// The mesh hosts of every VirtualService of one cluster.
#[derive(Debug, Default)]
pub(super) struct Claims {
    by_host: HashMap<Host, Keys>,
    by_object: BTreeMap<ObjectKey, Vec<Host>>,
}

impl Claims {
    /// Takes in a VirtualService; returns the others whose claims it shares or shared.
    pub(super) fn see(&mut self, key: &ObjectKey, live: Option<&Value>) -> BTreeSet<ObjectKey> {
        let claims_mesh = |live: &&Value| lens::gateways(live).iter().any(|gateway| gateway == MESH);
        let hosts = live.filter(claims_mesh).map(lens::hosts).unwrap_or_default();
        let before = self.by_object.get(key).cloned().unwrap_or_default();
        if before == hosts {
            return BTreeSet::new();
        }
        let mut touched = BTreeSet::new();
        for host in &before {
            if let Some(objects) = self.by_host.get_mut(host) {
                objects.remove(key);
                touched.extend(objects.iter().cloned());
                if objects.is_empty() {
                    self.by_host.remove(host);
                }
            }
        }
        for host in &hosts {
            let objects = self.by_host.entry(host.clone()).or_default();
            touched.extend(objects.iter().cloned());
            objects.insert(key);
        }
        if hosts.is_empty() {
            self.by_object.remove(key);
        } else {
            self.by_object.insert(key.clone(), hosts);
        }
        touched
    }

    /// The other VirtualServices that claim a mesh host of the routing.
    pub(super) fn others(&self, own: &ObjectKey, routing: &Routing) -> Vec<ObjectKey> {
        let in_mesh = routing.routes.iter().filter(|route| route.gateways.iter().any(|gateway| gateway == MESH));
        let hosts: BTreeSet<Host> =
            in_mesh.flat_map(|route| &route.hosts).map(|host| Host::resolve(host, &routing.namespace)).collect();
        let claimed = hosts.iter().filter_map(|host| self.by_host.get(host)).flat_map(Keys::iter);
        claimed.filter(|key| *key != own).cloned().collect::<BTreeSet<_>>().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey { namespace: "shop".into(), name: name.into() }
    }

    #[test]
    fn law_14_claims_are_compared_as_full_names_and_only_in_the_mesh() {
        let mut claims = Claims::default();
        let object = |host: &str, gateways: Value| json!({"metadata": {"namespace": "shop"}, "spec": {"hosts": [host], "gateways": gateways}});
        assert!(claims.see(&key("a"), Some(&object("web", json!(["mesh"])))).is_empty());
        let full = object("web.shop.svc.cluster.local", json!(["edge", "mesh"]));
        assert_eq!(claims.see(&key("b"), Some(&full)), [key("a")].into());
        assert!(claims.see(&key("c"), Some(&object("web", json!(["edge"])))).is_empty());
        let routing = crate::istio::fixtures::routing("shop", "web", &["v1"]);
        assert_eq!(claims.others(&key("a"), &routing), [key("b")]);
        assert_eq!(claims.see(&key("b"), None), [key("a")].into());
        assert!(claims.others(&key("a"), &routing).is_empty());
    }
}
