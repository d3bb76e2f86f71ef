//! Keeps a route to its own hosts and gateways, since one VirtualService offers all its hosts on all its gateways.

use std::{borrow::Cow, collections::BTreeSet};

use serde_json::{Map, Value, json};

use super::super::lens;
use crate::plan::{CLUSTER_DOMAIN, Host, Route, Routing};

/// Istio refuses a regular expression above 1024 characters; a longer one is split into blocks, which are ORed.
const REGEX_MAX: usize = 1000;

type Block = Map<String, Value>;

/// Which hosts and gateways each route shares with which others.
pub(super) struct Scope<'a> {
    routing: &'a Routing,
}

impl<'a> Scope<'a> {
    pub(super) fn new(routing: &'a Routing) -> Self {
        Self { routing }
    }

    /// How many routes there are.
    pub(super) fn routes(&self) -> usize {
        self.routing.routes.len()
    }

    /// The blocks, restricted to the route's gateways and hosts where other routes have others.
    pub(super) fn restrict<'b>(&self, route: &Route, blocks: Cow<'b, [Block]>) -> Cow<'b, [Block]> {
        if self.routes() == 1 {
            return blocks;
        }
        self.to_hosts(route, self.to_gateways(route, blocks))
    }

    fn to_gateways<'b>(&self, route: &Route, blocks: Cow<'b, [Block]>) -> Cow<'b, [Block]> {
        let own = self.gateways(route);
        if self.routing.routes.iter().all(|other| self.gateways(other).is_subset(&own)) {
            return blocks;
        }
        let mut blocks = at_least_one(blocks);
        for block in &mut blocks {
            block.entry("gateways").or_insert_with(|| json!(route.gateways));
        }
        Cow::Owned(blocks)
    }

    fn to_hosts<'b>(&self, route: &Route, blocks: Cow<'b, [Block]>) -> Cow<'b, [Block]> {
        let own = self.hosts(route);
        let gateways = self.gateways(route);
        let mut rivals = self.routing.routes.iter().filter(|other| !self.gateways(other).is_disjoint(&gateways));
        let everything = own.iter().any(|host| host.as_str() == "*");
        if everything || rivals.all(|other| self.hosts(other).is_subset(&own)) {
            return blocks;
        }
        let patterns = patterns(&own);
        let mut restricted = Vec::new();
        for block in at_least_one(blocks) {
            if block.contains_key("authority") {
                restricted.push(block);
                continue;
            }
            for pattern in &patterns {
                let mut block = block.clone();
                block.insert("authority".to_owned(), json!({"regex": pattern}));
                restricted.push(block);
            }
        }
        Cow::Owned(restricted)
    }

    fn gateways(&self, route: &Route) -> BTreeSet<String> {
        route.gateways.iter().map(|written| lens::gateway(written, &self.routing.namespace)).collect()
    }

    fn hosts(&self, route: &Route) -> BTreeSet<Host> {
        route.hosts.iter().map(|written| Host::resolve(written, &self.routing.namespace)).collect()
    }
}

/// A route of all requests is one empty block.
fn at_least_one(blocks: Cow<'_, [Block]>) -> Vec<Block> {
    if blocks.is_empty() { vec![Block::new()] } else { blocks.into_owned() }
}

/// RE2 expressions for the `Host` headers that name these hosts, whole and with any port.
fn patterns(hosts: &BTreeSet<Host>) -> Vec<String> {
    let mut chunks: Vec<String> = Vec::new();
    for name in hosts.iter().map(pattern) {
        match chunks.last_mut() {
            Some(chunk) if chunk.len() + name.len() < REGEX_MAX => {
                chunk.push('|');
                chunk.push_str(&name);
            }
            _ => chunks.push(name),
        }
    }
    chunks.iter().map(|names| format!(r"(?i)({names})\.?(:[0-9]+)?")).collect()
}

/// All the names by which callers know a host: a Service has a short one and its longer forms.
fn pattern(host: &Host) -> String {
    if let Some((service, namespace)) = host.service() {
        return format!(r"{}(\.{}(\.svc(\.{})?)?)?", escape(service), escape(namespace), escape(CLUSTER_DOMAIN));
    }
    match host.as_str().strip_prefix('*') {
        Some(suffix) => format!(".+{}", escape(suffix)),
        None => escape(host.as_str()),
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if character.is_ascii_punctuation() && !matches!(character, '-' | '_') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(written: &[&str]) -> Vec<String> {
        patterns(&written.iter().map(|host| Host::resolve(host, "shop")).collect())
    }

    #[test]
    fn a_service_is_known_by_all_its_names_and_a_wildcard_by_its_suffix() {
        assert_eq!(
            of(&["orders", "*.example.com", "www.example.org"]),
            [r"(?i)(.+\.example\.com|orders(\.shop(\.svc(\.cluster\.local)?)?)?|www\.example\.org)\.?(:[0-9]+)?"]
        );
    }

    #[test]
    fn no_expression_is_longer_than_istio_takes() {
        let hosts: Vec<String> = (0..40).map(|n| format!("{}{n}.example.com", "a".repeat(60))).collect();
        let patterns = of(&hosts.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(patterns.len() > 1);
        assert!(patterns.iter().all(|pattern| pattern.len() <= 1024));
        assert_eq!(patterns.iter().map(|pattern| pattern.matches("example").count()).sum::<usize>(), 40);
    }
}
