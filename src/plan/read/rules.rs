//! The rules about routes and pins together.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::super::{Host, MESH, codes, node::Node, report::Report};
use super::{pins, plan::Names, routes, shape::place};

/// The most `http` entries that a plan may render: more than that are beyond what an object can hold.
const ENTRIES_MAX: usize = 1_000;
/// The most matches that they may have in all: each of a pin stands once for each of each route.
const MATCHES_MAX: usize = 5_000;

/// The fields of which a request has one value.
const SINGLE: [&str; 5] = ["uri", "method", "authority", "scheme", "port"];

/// Checks routes and pins against each other.
pub(super) fn check(
    routes: &[routes::Written<'_>],
    pins: &[pins::Written<'_>],
    names: &Names<'_>,
    report: &mut Report<'_>,
) {
    let entries = routes.len() * (pins.len() + 1);
    if let Some(first) = routes.first().filter(|_| entries > ENTRIES_MAX) {
        let message = format!("pins and routes make {entries} http entries, the limit is {ENTRIES_MAX}");
        return report.add(codes::PL17, first.at, message);
    }
    let in_pins: usize = pins.iter().map(|pin| pin.pin.matches.len()).sum();
    let matches = routes.iter().map(|written| written.route.matches.len().max(1)).sum::<usize>() * (in_pins + 1);
    if let Some(first) = routes.first().filter(|_| matches > MATCHES_MAX) {
        let message = format!("pins and routes make {matches} matches, the limit is {MATCHES_MAX}");
        return report.add(codes::PL17, first.at, message);
    }
    let scopes: Vec<Scope> = routes.iter().map(|written| Scope::of(written, names)).collect();
    distinct_names(routes, pins, report);
    all_hosts(routes, names, report);
    reachable(routes, &scopes, report);
    the_rest(routes, &scopes, report);
    source_labels(routes, pins, &scopes, report);
    conflicts(routes, pins, report);
}

/// Which requests a route is asked about.
#[derive(PartialEq)]
struct Scope {
    hosts: BTreeSet<Host>,
    gateways: BTreeSet<String>,
}

impl Scope {
    fn of(written: &routes::Written<'_>, names: &Names<'_>) -> Self {
        let full = |gateway: &String| match gateway.as_str() {
            MESH => MESH.to_owned(),
            name if name.contains('/') => name.to_owned(),
            name => format!("{}/{name}", names.namespace),
        };
        Self {
            hosts: written.route.hosts.iter().map(|host| Host::resolve(host, names.namespace)).collect(),
            gateways: written.route.gateways.iter().map(full).collect(),
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        let any_covered = |hosts: &BTreeSet<Host>, by: &BTreeSet<Host>| hosts.iter().any(|host| is_covered(host, by));
        !self.gateways.is_disjoint(&other.gateways)
            && (any_covered(&self.hosts, &other.hosts) || any_covered(&other.hosts, &self.hosts))
    }

    fn within(&self, other: &Self) -> bool {
        self.gateways.is_subset(&other.gateways) && self.hosts.iter().all(|host| is_covered(host, &other.hosts))
    }
}

/// Whether the host is one of these, or is of a wildcard among them.
fn is_covered(host: &Host, by: &BTreeSet<Host>) -> bool {
    by.contains(host) || wildcards(host).any(|wildcard| by.contains(&wildcard))
}

/// The wildcards above a host, from the nearest to `*`; a host is not above itself.
fn wildcards(host: &Host) -> impl Iterator<Item = Host> {
    let name = host.as_str();
    let name = name.strip_prefix("*.").unwrap_or(name);
    let above = name.match_indices('.').map(move |(dot, _)| format!("*{}", name.split_at(dot).1));
    let all = (host.as_str() != "*").then(|| "*".to_owned());
    above.chain(all).map(|wildcard| Host::resolve(&wildcard, ""))
}

/// Names as they are rendered: a pin stands once before each route.
fn distinct_names(routes: &[routes::Written<'_>], pins: &[pins::Written<'_>], report: &mut Report<'_>) {
    let mut seen = BTreeSet::new();
    for route in routes {
        let name = &route.route.name;
        if !seen.insert(name.clone()) {
            report.hint(
                codes::PL10,
                route.place("name"),
                format!("two routes have the name `{name}`"),
                "name each of them",
            );
        }
    }
    for pin in pins.iter().filter(|pin| !pin.pin.name.is_empty()) {
        let rendered = routes.iter().map(|route| match routes.len() {
            1 => pin.pin.name.clone(),
            _ => format!("{}-{}", pin.pin.name, route.route.name),
        });
        let taken: Vec<String> = rendered.filter(|name| !seen.insert(name.clone())).collect();
        if let Some(name) = taken.first() {
            let at = pin.node.get("name").map_or(place(pin.node), |name| &name.span);
            report.add(codes::PL10, at, format!("the name `{name}` that this pin makes is taken"));
        }
    }
}

fn all_hosts(routes: &[routes::Written<'_>], names: &Names<'_>, report: &mut Report<'_>) {
    let mut written_as: BTreeMap<Host, &str> = BTreeMap::new();
    let all = routes.iter().flat_map(|written| written.route.hosts.iter());
    for host in all {
        written_as.entry(Host::resolve(host, names.namespace)).or_insert(host);
    }
    for written in routes {
        let at = written.place("hosts");
        let mut own = BTreeSet::new();
        for host in &written.route.hosts {
            if host == "*" && written.route.gateways.iter().any(|gateway| gateway == MESH) {
                let message = "the host `*` applies to the mesh: Istio refuses it";
                report.hint(codes::VS06, at, message, "name the hosts, or leave `mesh` out of `gateways`");
            }
            let full = Host::resolve(host, names.namespace);
            let same = written_as.get(&full).copied().filter(|other| other != host);
            let other = same.or_else(|| wildcards(&full).find_map(|wildcard| written_as.get(&wildcard).copied()));
            if let Some(other) = other {
                report.add(codes::VS07, at, format!("hosts `{other}` and `{host}` are the same or cover each other"));
            } else if !own.insert(full) {
                report.add(codes::VS07, at, format!("the host `{host}` stands twice"));
            }
        }
    }
}

/// Whether a match block takes every request: it has no condition, or the prefix `/` alone.
pub(crate) fn takes_everything(block: &Map<String, Value>) -> bool {
    block.iter().all(|(field, value)| match field.as_str() {
        "name" | "statPrefix" | "ignoreUriCase" => true,
        "uri" => value.get("prefix").is_some_and(|prefix| prefix == "/"),
        _ => value.is_null(),
    })
}

fn takes_all(written: &routes::Written<'_>) -> bool {
    written.route.matches.is_empty() || written.route.matches.iter().any(takes_everything)
}

fn reachable(routes: &[routes::Written<'_>], scopes: &[Scope], report: &mut Report<'_>) {
    for (position, (later, scope)) in routes.iter().zip(scopes).enumerate() {
        let before = routes.iter().zip(scopes).take(position);
        let mut taken = before.filter(|(route, other)| takes_all(route) && other.overlaps(scope));
        if let Some((first, _)) = taken.next() {
            let message =
                format!("route `{}` gets nothing: `{}` takes every request before", later.route.name, first.route.name);
            report.hint(codes::TG01, later.at, message, "put the route that takes every request last");
        }
    }
}

fn the_rest(routes: &[routes::Written<'_>], scopes: &[Scope], report: &mut Report<'_>) {
    let uncovered = routes.iter().zip(scopes).find(|(route, scope)| {
        let mut all = routes.iter().zip(scopes).filter(|(other, _)| takes_all(other));
        !takes_all(route) && !all.any(|(_, other)| scope.within(other))
    });
    if let Some((route, _)) = uncovered {
        let message = "no route takes the requests that match none: they get 404";
        report.hint(codes::TG24, route.place("match"), message, "add a route without `match` at the end");
    }
}

fn source_labels(
    routes: &[routes::Written<'_>],
    pins: &[pins::Written<'_>],
    scopes: &[Scope],
    report: &mut Report<'_>,
) {
    let differ = scopes.windows(2).any(|pair| matches!(pair, [one, two] if one.gateways != two.gateways));
    let owners = routes.iter().map(|route| route.node).chain(pins.iter().map(|pin| pin.node));
    for block in owners.flat_map(|owner| owner.get("match").map_or(&[][..], Node::items)) {
        let Some(labels) = block.entry("sourceLabels") else { continue };
        if differ || block.get("gateways").is_some() {
            let message = "`sourceLabels` together with gateways: no gateway knows the labels of its callers";
            report.hint(codes::TG07, &labels.key_span, message, "match the labels in a plan of the mesh alone");
        }
    }
}

fn conflicts(routes: &[routes::Written<'_>], pins: &[pins::Written<'_>], report: &mut Report<'_>) {
    for pin in pins {
        for block in pin.node.get("match").map_or(&[][..], Node::items) {
            for entry in block.set_entries().filter(|entry| SINGLE.contains(&entry.key.as_str())) {
                let value = entry.node.value();
                let other = |block: &Map<String, Value>| {
                    block.get(&entry.key).is_some_and(|other| *other != value && !other.is_null())
                };
                let route = routes.iter().find(|route| route.route.matches.iter().any(other));
                if let Some(route) = route {
                    let message =
                        format!("pin and route `{}` ask for different values of `{}`", route.route.name, entry.key);
                    report.hint(
                        codes::PL12,
                        &entry.key_span,
                        message,
                        "a pin is ANDed with each route: leave it out of one",
                    );
                }
            }
        }
    }
}
