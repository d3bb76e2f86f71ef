//! The rules of load balancing: hashing, localities, warm-up.

use std::collections::{BTreeMap, BTreeSet};

use super::{at::At, names, report::Report};
use crate::plan::codes;

const MAGLEV_MAX: u64 = 5_000_011;
const TOPOLOGY: [&str; 3] =
    ["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];

pub(super) fn check(balancer: &At<'_>, has_outliers: bool, report: &mut Report) {
    if let Some(hash) = balancer.get("consistentHash") {
        consistent_hash(&hash, report);
    }
    let zones = balancer.get("zoneAwareLbSetting");
    if let Some(at) = zones.as_ref().filter(|_| balancer.has("localityLbSetting")) {
        report.add(codes::DR05, at, "`zoneAwareLbSetting` stands beside `localityLbSetting`", "keep one of the two");
    }
    if let Some(at) = balancer.get("localityLbSetting") {
        localities(&at, report);
        pointless(&at, has_outliers, report);
    }
    if let Some(at) = zones {
        for label in topology(&at) {
            let message = format!("`failoverPriority` names `{label}`, which balancing by zone orders itself");
            report.add(codes::DR05, &at, message, "take it out");
        }
        failover(&at, report);
        pointless(&at, has_outliers, report);
    }
    let Some(warmup) = balancer.get("warmup") else { return };
    names::duration(&warmup, "duration", codes::DR04, report);
    if warmup.number_of("minimumPercent").is_some_and(|share| share > 100.0) {
        report.add(codes::DR04, &warmup, "`minimumPercent` is above 100", "write 0 to 100");
    }
    if warmup.number_of("aggression").is_some_and(|factor| factor <= 0.0) {
        report.add(codes::DR04, &warmup, "`aggression` is not above 0", "write e.g. 1.0");
    }
}

fn consistent_hash(hash: &At<'_>, report: &mut Report) {
    if let Some(cookie) = hash.get("httpCookie") {
        if cookie.text_of("name").is_empty() {
            report.add(codes::DR04, &cookie, "the cookie has no name", "write `name`");
        }
        let mut names = BTreeSet::new();
        for attribute in cookie.list("attributes") {
            let name = attribute.text_of("name");
            if name.is_empty() || !names.insert(name) {
                let message = "an attribute of the cookie has no name, or that of another";
                report.add(codes::DR04, &attribute, message, "name each of them");
            }
        }
    }
    let algorithm = ["ringHash", "maglev"].into_iter().find(|field| hash.has(field));
    if let Some(at) = hash.get("minimumRingSize").filter(|at| at.whole() != Some(0)) {
        match algorithm {
            Some(algorithm) => {
                let message = format!("`minimumRingSize` stands beside `{algorithm}`");
                report.add(codes::DR04, &at, message, "move it into `ringHash`, or take it out");
            }
            None => {
                report.add(
                    codes::DR07,
                    &at,
                    "`minimumRingSize` is deprecated",
                    "write `ringHash: {minimumRingSize: …}`",
                );
            }
        }
    }
    if let Some(maglev) = hash.get("maglev") {
        let size = u64::try_from(maglev.whole_of("tableSize")).unwrap_or(0);
        if size >= MAGLEV_MAX || !is_prime(size) {
            let message = format!("the table size {size} is no prime number below {MAGLEV_MAX}");
            report.add(codes::DR04, &maglev, message, "write e.g. `tableSize: 65537`");
        }
    }
}

/// Whether Envoy takes this for a prime number: 1 counts as one.
fn is_prime(number: u64) -> bool {
    match number {
        0 => false,
        1..4 => true,
        _ => {
            !number.is_multiple_of(2)
                && (3..)
                    .step_by(2)
                    .take_while(|factor| factor * factor <= number)
                    .all(|factor| !number.is_multiple_of(factor))
        }
    }
}

fn localities(setting: &At<'_>, report: &mut Report) {
    let (distribute, failover_to) = (setting.list("distribute"), setting.list("failover"));
    if !distribute.is_empty() && !failover_to.is_empty() {
        return report.add(codes::DR05, setting, "`distribute` stands beside `failover`", "keep one of the two");
    }
    if let Some(label) = topology(setting).into_iter().next().filter(|_| !failover_to.is_empty()) {
        let message = format!("`failoverPriority` names `{label}` beside `failover`");
        return report.add(codes::DR05, setting, message, "keep one of the two");
    }
    for part in &distribute {
        let to = part.map("to");
        let weights = to.iter().map(|(_, at)| at.whole().unwrap_or(0));
        let total: i64 = weights.clone().sum();
        if total != 100 || weights.clone().any(|weight| !(1..=100).contains(&weight)) {
            let message = format!("the weights of localities add up to {total}, not to 100, or one is none");
            report.add(codes::DR05, part, message, "write weights from 1 to 100 that sum to 100");
        }
        if !apart(to.iter().map(|(name, _)| *name)) {
            let message = "two localities overlap, or one is of no good form";
            report.add(codes::DR05, part, message, "write `region/zone/subzone`, with one `*` at the end at most");
        }
    }
    if !apart(distribute.iter().map(|part| part.text_of("from"))) {
        let message = "two localities that callers are in overlap, or one is of no good form";
        report.add(codes::DR05, setting, message, "write `region/zone/subzone`, with one `*` at the end at most");
    }
    failover(setting, report);
}

fn failover(setting: &At<'_>, report: &mut Report) {
    for part in setting.list("failover") {
        let (from, to) = (part.text_of("from"), part.text_of("to"));
        let is_region = |name: &str| !name.contains(['/', '*']);
        if from == to || !is_region(from) || !is_region(to) {
            report.add(
                codes::DR05,
                &part,
                "a failover leads from one region to another",
                "name two regions, without zones",
            );
        }
    }
}

fn pointless(setting: &At<'_>, has_outliers: bool, report: &mut Report) {
    if !has_outliers && (setting.count("failover") > 0 || setting.count("failoverPriority") > 0) {
        let message = "failover without outlier detection: no endpoint ever counts as failed";
        report.add(codes::DR07, setting, message, "write `outlierDetection` beside it");
    }
}

fn topology<'v>(setting: &At<'v>) -> Vec<&'v str> {
    setting.list("failoverPriority").iter().filter_map(At::text).filter(|label| TOPOLOGY.contains(label)).collect()
}

/// Whether localities are of good form and none holds another. As Istio looks at them, in any order.
fn apart<'v>(localities: impl Iterator<Item = &'v str>) -> bool {
    let mut seen: BTreeMap<Vec<&str>, ()> = BTreeMap::new();
    for locality in localities {
        let parts: Vec<&str> = locality.splitn(3, '/').collect();
        let stars = locality.matches('*').count();
        if parts.iter().any(|part| part.is_empty()) || stars > 1 || (stars == 1 && !locality.ends_with('*')) {
            return false;
        }
        let whole: Vec<&str> = parts.iter().copied().take_while(|part| *part != "*").collect();
        let clash = seen.keys().any(|other| other.starts_with(&whole) || whole.starts_with(other));
        if clash {
            return false;
        }
        seen.insert(whole, ());
    }
    true
}
