//! The JSON patch with which a person goes back when tidegate itself is gone: minimal, and it tests what it changes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    edit::Change,
    json::items,
    lens::spec,
    patch::{Marks, route_edit},
};
use crate::plan::{Routing, Traffic};

/// The patch, as an array of RFC 6902, that leads a VirtualService to another routing and traffic; none where that is
/// what it is. It tests the destinations of every route that it changes, and any other field by its value, not the
/// resourceVersion: it is to be used long after it was written.
pub fn way_back(object: &Value, routing: &Routing, traffic: &Traffic) -> Option<Value> {
    let edit = route_edit(Some(object), routing, traffic, &Marks::default())?;
    let Change::Patch { patch, .. } = edit.change else { return None };
    let operations = serde_json::to_value(&patch).ok()?;
    let edits = items(Some(&operations)).iter().filter(|one| one.get("op").is_none_or(|op| op != "test"));
    let edits: Vec<Value> = edits.cloned().collect();
    let mut tests = Vec::new();
    let mut seen = BTreeSet::new();
    for path in edits.iter().filter_map(|edit| edit.get("path")?.as_str()) {
        for place in tested(object, path) {
            if let Some(value) = object.pointer(&place).filter(|_| seen.insert(place.clone())) {
                tests.push(json!({"op": "test", "path": place, "value": value}));
            }
        }
    }
    Some(tests.into_iter().chain(edits).collect())
}

/// The places whose values tell that an edit of `path` is still what was meant.
fn tested(object: &Value, path: &str) -> Vec<String> {
    let http = items(spec(object, "http"));
    let Some(rest) = path.strip_prefix("/spec/http") else { return vec![path.to_owned()] };
    let mut tokens = rest.split('/').skip(1);
    let number = |token: Option<&str>| token.and_then(|token| token.parse::<usize>().ok());
    let (entry, _, leg) = (number(tokens.next()), tokens.next(), number(tokens.next()));
    let entries = entry.map_or(0..http.len(), |entry| entry..entry.saturating_add(1));
    let mut places = Vec::new();
    for at in entries {
        let route = http.get(at).map(|entry| items(entry.get("route"))).unwrap_or_default();
        let legs = leg.map_or(0..route.len(), |leg| leg..leg.saturating_add(1));
        places.extend(legs.map(|leg| format!("/spec/http/{at}/route/{leg}/destination")));
    }
    places
}
