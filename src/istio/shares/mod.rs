//! Reads back from a live VirtualService what share each version gets, and what the plan would not have written.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    desired::{Rule, rules},
    diff::differing_fields,
    json::items,
    lens::{is_host, namespace, spec, weight},
};
use crate::plan::{Routing, Traffic, VersionName};

/// The weights that a live VirtualService gives to each version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveShares {
    /// The least percent that a version gets in any route that is no pin, 0 for a declared one without any.
    pub per_version_min: BTreeMap<VersionName, u8>,
    /// The most.
    pub per_version_max: BTreeMap<VersionName, u8>,
    /// Each route and destination that the routing would not produce, for people.
    pub foreign: Vec<String>,
    /// The traffic, if all routes agree on one that adds up to 100; a single destination counts as 100.
    pub traffic: Option<Traffic>,
}

/// A finding that lists more helps nobody.
const FOREIGN_MAX: usize = 20;

/// The weights per version in every `http` route that is none of the routing's pins (by name). Weights that do not
/// add up to 100 count as Istio reads them, in proportion; the least is rounded down and the most up.
pub fn live_shares(live: &Value, routing: &Routing) -> LiveShares {
    let rules = rules(routing);
    let (pins, routes): (Vec<&Rule<'_>>, Vec<&Rule<'_>>) = rules.iter().partition(|rule| rule.is_pin());
    let pins: BTreeSet<&str> = pins.iter().map(|rule| rule.name.as_ref()).collect();
    let is_pin = |entry: &&Value| name_of(entry).is_some_and(|name| pins.contains(name));
    let entries: Vec<&Value> = items(spec(live, "http")).iter().filter(|entry| !is_pin(entry)).collect();

    let mut reader = Reader { namespace: namespace(live), routing, foreign: Vec::new() };
    let readings: Vec<Reading> =
        entries.iter().enumerate().map(|(at, entry)| reader.read(at, entry, routes.get(at).copied())).collect();
    reader.note_counts(live, entries.len(), routes.len());

    let mut shares = LiveShares { foreign: reader.foreign, ..LiveShares::default() };
    shares.foreign.truncate(FOREIGN_MAX);
    let declared = routing.versions.iter().map(|version| &version.name);
    let versions: BTreeSet<&VersionName> =
        declared.chain(readings.iter().flat_map(|reading| reading.0.keys())).collect();
    for version in versions {
        let of = |reading: &Reading| reading.0.get(version).copied().unwrap_or_default();
        let least = readings.iter().map(|reading| of(reading).least).min().unwrap_or(0);
        let most = readings.iter().map(|reading| of(reading).most).max().unwrap_or(0);
        shares.per_version_min.insert(version.clone(), least);
        shares.per_version_max.insert(version.clone(), most);
    }
    // Where both bounds agree, every route gives every version the same whole percentage.
    if shares.per_version_min == shares.per_version_max && readings.iter().all(|reading| reading.1) {
        shares.traffic = Traffic::new(shares.per_version_max.clone()).ok();
    }
    shares
}

/// The percentages of one route's versions, and whether its weights add up to 100.
struct Reading(BTreeMap<VersionName, Percent>, bool);

#[derive(Clone, Copy, Default)]
struct Percent {
    least: u8,
    most: u8,
}

struct Reader<'a> {
    namespace: &'a str,
    routing: &'a Routing,
    foreign: Vec<String>,
}

impl Reader<'_> {
    fn read(&mut self, position: usize, entry: &Value, rule: Option<&Rule<'_>>) -> Reading {
        let name = name_of(entry).map_or_else(|| format!("http[{position}]"), |name| format!("route {name:?}"));
        if let Some(rule) = rule {
            // A route without a name loses nothing when it is given one.
            let unnamed = entry.get("name").is_none();
            let fields = differing_fields(entry, rule).filter(|field| !(unnamed && *field == "name"));
            for field in fields {
                self.foreign.push(format!("{name}: `{}` is not what the plan has", field.escape_debug()));
            }
        }
        let list = items(entry.get("route"));
        if list.is_empty() {
            self.foreign.push(format!("{name} has no destination"));
        }
        let sum: u128 = list.iter().map(|destination| u128::from(weight(destination, list.len()))).sum();
        let mut weights: BTreeMap<VersionName, u128> = BTreeMap::new();
        for destination in list {
            if let Some(version) = self.version(&name, destination) {
                *weights.entry(version).or_default() += u128::from(weight(destination, list.len()));
            }
        }
        let percent = |weight: u128| Percent {
            least: u8::try_from((weight * 100).checked_div(sum).unwrap_or(0)).unwrap_or(100),
            most: u8::try_from((weight * 100).div_ceil(sum.max(1))).unwrap_or(100),
        };
        Reading(weights.into_iter().map(|(version, weight)| (version, percent(weight))).collect(), sum == 100)
    }

    fn version(&mut self, route: &str, destination: &Value) -> Option<VersionName> {
        let inner = destination.get("destination");
        let host = inner.and_then(|inner| inner.get("host")?.as_str()).unwrap_or_default();
        let subset = inner.and_then(|inner| inner.get("subset")?.as_str()).filter(|subset| !subset.is_empty());
        if !is_host(host, self.namespace, &self.routing.service) {
            self.foreign.push(format!("{route} goes to host {host:?}, the plan's is {}", self.routing.service));
            return None;
        }
        let Some(subset) = subset else {
            self.foreign.push(format!("{route} goes to {host:?} without a subset"));
            return None;
        };
        let port = inner.and_then(|inner| inner.get("port")?.get("number")?.as_u64());
        if let Some(port) = port.filter(|port| Some(*port) != self.routing.port.map(u64::from)) {
            self.foreign.push(format!("{route} goes to port {port}"));
        }
        let extra = destination.as_object().into_iter().flatten().map(|(field, _)| field.as_str());
        for field in extra.filter(|field| !matches!(*field, "destination" | "weight")) {
            self.foreign.push(format!("{route}: a destination has `{}`", field.escape_debug()));
        }
        let version = VersionName::new(subset);
        if self.routing.version(&version).is_none() {
            self.foreign.push(format!("{route} goes to subset {subset:?}, which is no version of the plan"));
        }
        Some(version)
    }

    fn note_counts(&mut self, live: &Value, entries: usize, routes: usize) {
        if entries != routes {
            self.foreign.push(format!("`http` routes beside the pins: {entries}, the plan has {routes}"));
        }
        for protocol in ["tcp", "tls"] {
            let count = items(spec(live, protocol)).len();
            if count > 0 {
                self.foreign.push(format!("`{protocol}` routes: {count}, the plan has none"));
            }
        }
    }
}

fn name_of(entry: &Value) -> Option<&str> {
    entry.get("name")?.as_str()
}
