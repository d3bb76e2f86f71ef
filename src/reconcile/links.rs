//! Which route has which DestinationRule and which Service, so that an event finds its workers without asking all.

use std::collections::HashMap;

use crate::plan::{Host, ObjectKey};

use super::keys::Keys;

/// The routes by what belongs to them.
#[derive(Debug, Default)]
pub(super) struct Links {
    by_route: HashMap<ObjectKey, (ObjectKey, Option<Host>)>,
    by_rule: HashMap<ObjectKey, Keys>,
    by_service: HashMap<Host, Keys>,
}

impl Links {
    /// Notes what belongs to a route; returns whether its DestinationRule is another one than before.
    pub(super) fn set(&mut self, route: &ObjectKey, rule: ObjectKey, service: Option<Host>) -> bool {
        let before = self.by_route.get(route);
        if before.is_some_and(|(old_rule, old_service)| *old_rule == rule && *old_service == service) {
            return false;
        }
        let renamed = before.is_some_and(|(old, _)| *old != rule);
        self.forget(route);
        self.by_rule.entry(rule.clone()).or_default().insert(route);
        if let Some(service) = &service {
            self.by_service.entry(service.clone()).or_default().insert(route);
        }
        self.by_route.insert(route.clone(), (rule, service));
        renamed
    }

    /// Drops a route.
    pub(super) fn forget(&mut self, route: &ObjectKey) {
        let Some((rule, service)) = self.by_route.remove(route) else { return };
        drop_from(&mut self.by_rule, &rule, route);
        if let Some(service) = service {
            drop_from(&mut self.by_service, &service, route);
        }
    }

    /// The routes of a DestinationRule.
    pub(super) fn of_rule(&self, rule: &ObjectKey) -> Vec<ObjectKey> {
        self.by_rule.get(rule).into_iter().flat_map(Keys::iter).cloned().collect()
    }

    /// The routes in front of a Service.
    pub(super) fn of_service(&self, service: &Host) -> Vec<ObjectKey> {
        self.by_service.get(service).into_iter().flat_map(Keys::iter).cloned().collect()
    }
}

fn drop_from<K: Eq + std::hash::Hash>(index: &mut HashMap<K, Keys>, key: &K, route: &ObjectKey) {
    if let Some(routes) = index.get_mut(key) {
        routes.remove(route);
        if routes.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey { namespace: "shop".into(), name: name.into() }
    }

    #[test]
    fn a_route_is_found_by_its_present_rule_and_service_alone() {
        let service = |name: &str| Host::resolve(name, "shop");
        let mut links = Links::default();
        assert!(!links.set(&key("a"), key("a"), None), "the first rule is no other one");
        assert!(!links.set(&key("a"), key("a"), Some(service("web"))));
        assert!(!links.set(&key("b"), key("a"), Some(service("web"))));
        assert_eq!(
            (links.of_rule(&key("a")), links.of_service(&service("web"))),
            (vec![key("a"), key("b")], vec![key("a"), key("b")])
        );
        assert!(links.set(&key("b"), key("b"), Some(service("api"))));
        assert_eq!((links.of_rule(&key("a")), links.of_service(&service("web"))), (vec![key("a")], vec![key("a")]));
        links.forget(&key("b"));
        assert!(links.of_rule(&key("b")).is_empty() && links.of_service(&service("api")).is_empty());
    }
}
