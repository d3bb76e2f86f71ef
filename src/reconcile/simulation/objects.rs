//! Looks into objects: what refers to what (make before break), and what is nobody's but others' (law 9).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidegate::{
    istio::{ObjectKind, SEAL},
    rollout::{JOURNAL, MANAGED_BY, OWNER, STOP, SUBSETS, WAY_BACK},
};

/// A field that no plan declares, a label and an annotation: others' values.
pub const FOREIGN: &str = "example.com/others";
/// A subset that somebody else made.
pub const FOREIGN_SUBSET: &str = "legacy";

/// The subsets that any route refers to.
pub fn referenced(route: Option<&Value>) -> BTreeSet<&str> {
    let routes = route.and_then(|object| object["spec"]["http"].as_array()).into_iter().flatten();
    let legs = routes.filter_map(|route| route["route"].as_array()).flatten();
    legs.filter_map(|leg| leg["destination"]["subset"].as_str()).collect()
}

/// The subsets with their labels.
pub fn subsets(rule: Option<&Value>) -> BTreeMap<&str, &Value> {
    let subsets = rule.and_then(|object| object["spec"]["subsets"].as_array()).into_iter().flatten();
    subsets.filter_map(|subset| Some((subset["name"].as_str()?, &subset["labels"]))).collect()
}

/// The fields in a place of an object, but for its `own`.
fn fields<'a>(object: &'a Value, path: &[&str], own: &[&str]) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let place = path.iter().try_fold(object, |value, name| value.get(*name));
    place.and_then(Value::as_object).into_iter().flatten().filter(|(name, _)| !own.contains(&name.as_str()))
}

/// The first part of an object that is not tidegate's and has changed.
pub fn changed_for_others(kind: ObjectKind, before: &Value, after: &Value) -> Option<String> {
    let (own_labels, own_annotations) = ([MANAGED_BY.0], [JOURNAL, OWNER, STOP, SUBSETS, WAY_BACK, SEAL]);
    let own_spec: &[&str] = match kind {
        ObjectKind::VirtualService => &["hosts", "gateways", "http"],
        ObjectKind::DestinationRule => &["host", "subsets", "trafficPolicy"],
    };
    let parts: [(&[&str], &[&str]); 5] = [
        (&[], &["metadata", "spec"]),
        (&["metadata"], &["resourceVersion", "generation", "labels", "annotations"]),
        (&["metadata", "labels"], &own_labels),
        (&["metadata", "annotations"], &own_annotations),
        (&["spec"], own_spec),
    ];
    for (path, own) in parts {
        if !fields(before, path, own).eq(fields(after, path, own)) {
            let [was, is] = [before, after].map(|object| fields(object, path, own).collect::<Vec<_>>());
            return Some(format!("/{} from {was:?} to {is:?}", path.join("/")));
        }
    }
    let legacy = |object| subsets(Some(object)).get(FOREIGN_SUBSET).copied();
    (legacy(before) != legacy(after)).then(|| format!("subset {FOREIGN_SUBSET}"))
}
