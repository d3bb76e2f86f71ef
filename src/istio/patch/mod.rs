//! Minimal JSON patches that make a live object what is meant, and leave everything else in it alone (law 9).

mod draft;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::{Value, json};

use super::{
    desired::{self, Rule, Share, rules, shares},
    diff::{RouteDifference, differing_fields, route_difference, same_export, same_gateways, same_hosts},
    edit::{Change, Edit, ObjectKind},
    json::{items, same, without_nulls},
    lens::{self, is_host, spec, weight},
};
use crate::plan::{MESH, ObjectKey, ObjectSpec, Routing, Traffic, Version, VersionName};
use draft::{Draft, created};

/// The labels and annotations of an object that are tidegate's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Labels to be there.
    pub labels: BTreeMap<String, String>,
    /// Annotations to be there, or with `None` not to be.
    pub annotations: BTreeMap<String, Option<String>>,
}

/// What of a DestinationRule tidegate made, and may therefore take away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owned {
    /// Subsets.
    pub subsets: BTreeSet<VersionName>,
    /// The traffic policy for the whole of it.
    pub traffic_policy: bool,
}

/// The edit that makes a live VirtualService (or none) that of the routing with this traffic and these marks; `None`
/// when nothing is to do.
pub fn route_edit(live: Option<&Value>, routing: &Routing, traffic: &Traffic, marks: &Marks) -> Option<Edit> {
    let key = || key(routing, &routing.virtual_service);
    let kind = ObjectKind::VirtualService;
    let Some(live) = live else {
        return Some(created(kind, key(), desired::virtual_service(routing, traffic), marks));
    };
    let mut draft = Draft::new(live);
    if live.get("spec").is_some_and(Value::is_object) {
        draft_scope(&mut draft, routing);
        draft_http(&mut draft, routing, &shares(routing, traffic));
    } else {
        draft.set(&["spec"], desired::virtual_service_spec(routing, traffic));
    }
    draft.mark(marks);
    draft.finish(kind, key)
}

/// The VirtualService as [`route_edit`] leaves it, without marks.
pub fn route_meant<'a>(live: Option<&'a Value>, routing: &Routing, traffic: &Traffic) -> Cow<'a, Value> {
    match (route_edit(live, routing, traffic, &Marks::default()).map(|edit| edit.change), live) {
        (Some(Change::Create(meant) | Change::Patch { meant, .. }), _) => Cow::Owned(meant),
        (_, Some(live)) => Cow::Borrowed(live),
        (_, None) => Cow::Owned(Value::Null),
    }
}

/// The edit that makes a live DestinationRule (or none) carry these subsets; of the others it drops those in `owned`
/// and leaves what somebody else made. `None` when nothing is to do.
pub fn destinations_edit(
    live: Option<&Value>,
    routing: &Routing,
    subsets: &[Version],
    owned: &Owned,
    marks: &Marks,
) -> Option<Edit> {
    let key = || key(routing, &routing.destination_rule);
    let kind = ObjectKind::DestinationRule;
    let Some(live) = live else {
        return Some(created(kind, key(), desired::destination_rule(routing, subsets), marks));
    };
    let mut draft = Draft::new(live);
    if live.get("spec").is_some_and(Value::is_object) {
        let host = spec(live, "host").and_then(Value::as_str);
        if !host.is_some_and(|host| is_host(host, lens::namespace(live), &routing.service)) {
            draft.set(&["spec", "host"], json!(routing.service.as_str()));
        }
        draft_subsets(&mut draft, subsets, &owned.subsets);
        if let Some(policy) = &routing.traffic_policy
            && !spec(live, "trafficPolicy").is_some_and(|live| same(live, policy))
        {
            draft.set(&["spec", "trafficPolicy"], without_nulls(policy));
        } else if routing.traffic_policy.is_none() && owned.traffic_policy && spec(live, "trafficPolicy").is_some() {
            draft.remove(&["spec", "trafficPolicy"]);
        }
        draft_export(&mut draft, &routing.destination_rule);
    } else {
        draft.set(&["spec"], desired::destination_rule_spec(routing, subsets));
    }
    draft.mark(marks);
    draft.finish(kind, key)
}

/// The edit that puts the marks on a live object and leaves its spec as it is; `None` when nothing is to do.
pub fn marks_edit(kind: ObjectKind, live: &Value, marks: &Marks) -> Option<Edit> {
    let name = lens::name(live)?;
    let mut draft = Draft::new(live);
    draft.mark(marks);
    draft.finish(kind, || ObjectKey { namespace: lens::namespace(live).to_owned(), name: name.to_owned() })
}

/// The edit that deletes exactly this object; `None` for one that no API server has given an identity.
pub fn delete_edit(kind: ObjectKind, live: &Value) -> Option<Edit> {
    Some(Edit {
        kind,
        key: ObjectKey { namespace: lens::namespace(live).to_owned(), name: lens::name(live)?.to_owned() },
        change: Change::Delete {
            uid: lens::uid(live)?.to_owned(),
            resource_version: lens::resource_version(live)?.to_owned(),
        },
    })
}

fn key(routing: &Routing, object: &ObjectSpec) -> ObjectKey {
    ObjectKey { namespace: routing.namespace.clone(), name: object.name.clone() }
}

fn draft_scope(draft: &mut Draft<'_>, routing: &Routing) {
    if !same_hosts(draft.live, routing) {
        draft.set(&["spec", "hosts"], json!(desired::hosts(routing)));
    }
    if !same_gateways(draft.live, routing) {
        match desired::gateways(routing).as_slice() {
            [MESH] => draft.remove(&["spec", "gateways"]),
            gateways => draft.set(&["spec", "gateways"], json!(gateways)),
        }
    }
    draft_export(draft, &routing.virtual_service);
}

fn draft_export(draft: &mut Draft<'_>, object: &ObjectSpec) {
    if !same_export(draft.live, &object.export_to) {
        match &object.export_to {
            Some(namespaces) if !namespaces.is_empty() => draft.set(&["spec", "exportTo"], json!(namespaces)),
            _ => draft.remove(&["spec", "exportTo"]),
        }
    }
}

fn draft_http(draft: &mut Draft<'_>, routing: &Routing, traffic: &[Share<'_>]) {
    let rules = rules(routing);
    let entries = items(spec(draft.live, "http"));
    if entries.len() != rules.len() {
        let http = rules.iter().map(|rule| rule.render(routing, traffic)).collect();
        draft.set(&["spec", "http"], Value::Array(http));
        return;
    }
    for (position, (entry, rule)) in entries.iter().zip(&rules).enumerate() {
        draft_entry(draft, &position.to_string(), entry, rule, traffic, routing);
    }
}

fn draft_entry(
    draft: &mut Draft<'_>,
    position: &str,
    entry: &Value,
    rule: &Rule<'_>,
    traffic: &[Share<'_>],
    routing: &Routing,
) {
    if !entry.is_object() || differing_fields(entry, rule).next().is_some() {
        draft.set(&["spec", "http", position], rule.render(routing, traffic));
        return;
    }
    match route_difference(entry, rule, traffic, routing, lens::namespace(draft.live)) {
        RouteDifference::None => {}
        RouteDifference::Other { .. } => {
            draft.set(&["spec", "http", position, "route"], rule.render_route(routing, traffic));
        }
        RouteDifference::Weights => {
            let list = items(entry.get("route"));
            for (at, (destination, share)) in list.iter().zip(rule.shares(traffic)).enumerate() {
                if weight(destination, list.len()) != u64::from(share.weight) {
                    let at = at.to_string();
                    draft.test(&["spec", "http", position, "route", &at, "destination"]);
                    draft.set(&["spec", "http", position, "route", &at, "weight"], json!(share.weight));
                }
            }
        }
    }
}

fn draft_subsets(draft: &mut Draft<'_>, subsets: &[Version], owned: &BTreeSet<VersionName>) {
    let live = spec(draft.live, "subsets");
    if !live.is_some_and(Value::is_array) {
        if !subsets.is_empty() {
            draft.set(&["spec", "subsets"], subsets.iter().map(desired::subset).collect());
        }
        return;
    }
    let mut placed: BTreeSet<&VersionName> = BTreeSet::new();
    let mut surplus = Vec::new();
    for (position, subset) in items(live).iter().enumerate() {
        let Some(name) = subset.get("name").and_then(Value::as_str) else { continue };
        let at = position.to_string();
        match subsets.iter().find(|version| version.name.as_str() == name) {
            // Istio takes the first of two of a name.
            Some(version) if !placed.insert(&version.name) => surplus.push(at),
            Some(version) if !desired::is_subset(subset, version) => {
                draft.test(&["spec", "subsets", &at, "name"]);
                draft.set(&["spec", "subsets", &at], desired::subset(version));
            }
            None if owned.contains(&VersionName::new(name)) => surplus.push(at),
            Some(_) | None => {}
        }
    }
    // From the end, so that no removal moves the place of the next.
    for at in surplus.iter().rev() {
        draft.test(&["spec", "subsets", at, "name"]);
        draft.remove(&["spec", "subsets", at]);
    }
    for version in subsets.iter().filter(|version| !placed.contains(&version.name)) {
        draft.set(&["spec", "subsets", "-"], desired::subset(version));
    }
}
