//! Holds each name that a document claims against the lists.

use super::super::{Around, CLUSTER_DOMAIN, Finding, MESH, Place, codes, gateway};
use super::{Allow, HostPattern, NamePattern};

/// The domains that Services are called under, besides the cluster's own: each spelling takes callers.
const SERVICE_DOMAINS: [&str; 2] = ["svc.clusterset.local", "svc"];

/// One claim that no list covers.
pub(super) struct Beyond {
    code: &'static str,
    message: String,
    hint: String,
    /// Where it may stand (JSON pointers), the nearest first.
    pointers: Vec<String>,
}

impl Beyond {
    /// As a finding at its place; at that of the document's name where none of its places is written.
    pub(super) fn finding(self, name: &Place, document: Option<&Around>) -> Finding {
        let place = match document.and_then(|document| document.locate(&self.pointers)) {
            Some(bytes) => Place { start: bytes.start, end: bytes.end, ..name.clone() },
            None => name.clone(),
        };
        let severity = codes::severity(self.code);
        Finding { code: self.code, severity, message: self.message, place: Some(place), hints: vec![self.hint] }
    }
}

/// Gathers what one document claims beyond the lists.
pub(super) struct Judge<'a> {
    allow: &'a Allow,
    /// The document's own namespace, which short names are completed with.
    pub(super) namespace: &'a str,
    pub(super) beyond: Vec<Beyond>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(allow: &'a Allow, namespace: &'a str) -> Self {
        Self { allow, namespace, beyond: Vec::new() }
    }

    pub(super) fn kind(&mut self, kind: &str) {
        if self.allow.kinds.as_ref().is_some_and(|kinds| !kinds.iter().any(|known| known.0 == kind)) {
            self.add(codes::AL04, format!("kind `{kind}`"), wanted("kinds", kind), || vec!["/kind".to_owned()]);
        }
    }

    /// A namespace that something is written to or shown in.
    pub(super) fn namespace(&mut self, name: &str, places: impl FnOnce() -> Vec<String>) {
        if self.allow.namespaces.as_ref().is_some_and(|list| !list.iter().any(|known| known.has(name))) {
            self.add(codes::AL01, format!("namespace `{name}`"), wanted("namespaces", name), places);
        }
    }

    /// A host as a full name in lower case. Where hosts have no list, a Service is one of its namespace.
    pub(super) fn host(&mut self, full: &str, places: impl FnOnce() -> Vec<String>) {
        if let Some(list) = &self.allow.hosts {
            if !list.iter().any(|known| known.has(full)) {
                let hint = match full.parse::<HostPattern>() {
                    Ok(_) => wanted("hosts", full),
                    Err(_) => "name the hosts one by one: no list covers it".to_owned(),
                };
                self.add(codes::AL02, format!("host `{full}`"), hint, places);
            }
            return;
        }
        let Some(list) = &self.allow.namespaces else { return };
        match reach(full) {
            Reach::Outside => {}
            Reach::In(namespace) => {
                if !list.iter().any(|known| known.has(namespace)) {
                    let what = format!("namespace `{namespace}`, where the Service `{full}` is");
                    self.add(codes::AL01, what, wanted("namespaces", namespace), places);
                }
            }
            Reach::Everywhere => {
                if !list.iter().any(NamePattern::is_any) {
                    let what = format!("host `{full}`, which takes the callers of Services of any namespace");
                    self.add(codes::AL01, what, wanted("hosts", full), places);
                }
            }
        }
    }

    /// A gateway as written.
    pub(super) fn gateway(&mut self, written: &str, places: impl FnOnce() -> Vec<String>) {
        let Some(list) = &self.allow.gateways else { return };
        let full = gateway(written, self.namespace);
        if list.iter().any(|known| known.has(&full)) {
            return;
        }
        let mut hint = wanted("gateways", &full);
        if full == MESH {
            hint.push_str("; without `gateways` a plan is for the mesh");
        }
        self.add(codes::AL03, format!("gateway `{full}`"), hint, places);
    }

    fn add(&mut self, code: &'static str, what: String, hint: String, places: impl FnOnce() -> Vec<String>) {
        let message = format!("the repository's allow-list has no {what}");
        self.beyond.push(Beyond { code, message, hint, pointers: places() });
    }
}

/// What the list would have to say.
fn wanted(list: &str, name: &str) -> String {
    format!("`allow.{list}` of the repository, in tidegate's configuration, would have to hold `{name}`")
}

/// Whose callers a host takes.
#[derive(Debug, PartialEq)]
enum Reach<'h> {
    /// Those of a name that is no Service's.
    Outside,
    /// Those of Services of one namespace.
    In(&'h str),
    /// Those of Services of any.
    Everywhere,
}

fn reach(host: &str) -> Reach<'_> {
    let host = host.trim_end_matches('.');
    // A name without a dot is that of a Service for its neighbours, in every namespace.
    if !host.contains('.') && host != "*" {
        return Reach::Everywhere;
    }
    let own = format!("svc.{CLUSTER_DOMAIN}");
    let domains = || std::iter::once(own.as_str()).chain(SERVICE_DOMAINS);
    if let Some(above) = host.strip_prefix("*.")
        && domains().any(|domain| domain.strip_suffix(above).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
    {
        return Reach::Everywhere;
    }
    let under = domains().find_map(|domain| host.strip_suffix(domain)?.strip_suffix('.'));
    under.map_or(Reach::Outside, |under| Reach::In(under.rsplit('.').next().unwrap_or(under)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_of_its_namespace_in_every_spelling() {
        for host in [
            "web.shop.svc.cluster.local",
            "web.shop.svc.cluster.local.",
            "web-0.web.shop.svc.cluster.local",
            "*.shop.svc.cluster.local",
            "web.shop.svc.clusterset.local",
            "web.shop.svc",
        ] {
            assert_eq!(reach(host), Reach::In("shop"), "{host}");
        }
        for host in ["*.svc.cluster.local", "*.cluster.local", "*.local", "*.svc", "*.clusterset.local", "web"] {
            assert_eq!(reach(host), Reach::Everywhere, "{host}");
        }
        for host in ["www.example.com", "*.example.com", "*", "svc.example.com", "*.ocal", "cluster.local"] {
            assert_eq!(reach(host), Reach::Outside, "{host}");
        }
    }
}
