//! Which routes and matches are never reached, since others stand before them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{at::At, report::Report};
use crate::plan::{codes, takes_everything};

pub(super) fn check(spec: &At<'_>, report: &mut Report) {
    for field in ["http", "tls", "tcp"] {
        let routes = spec.list(field);
        if field == "http" {
            after_everything(&routes, report);
            covered(&routes, report);
        } else {
            after_no_match(&routes, report);
        }
        repeated(&routes, report);
    }
}

/// Reports HTTP routes behind one that takes every request.
fn after_everything(routes: &[At<'_>], report: &mut Report) {
    let is_all = |block: &At<'_>| block.fields().is_some_and(takes_all);
    let takes = |route: &At<'_>| route.count("match") == 0 || route.list("match").iter().any(is_all);
    let Some(first) = routes.iter().position(takes) else { return };
    for route in routes.iter().skip(first + 1) {
        let message = format!("the route gets nothing: the {} takes every request before", told(routes, first));
        report.add(codes::TG01, route, message, "put the route that takes every request last");
    }
}

/// Whether a block takes every request: no condition, the prefix `/`, or the expression `.*`.
fn takes_all(block: &Map<String, Value>) -> bool {
    takes_everything(block)
        || block.get("uri").is_some_and(|uri| uri.get("regex").is_some_and(|regex| regex == ".*"))
            && block
                .iter()
                .all(|(field, value)| matches!(field.as_str(), "name" | "statPrefix" | "uri") || value.is_null())
}

/// Reports TLS and TCP routes behind one without a match.
fn after_no_match(routes: &[At<'_>], report: &mut Report) {
    let Some(first) = routes.iter().position(|route| route.count("match") == 0) else { return };
    for route in routes.iter().skip(first + 1) {
        let message = format!("the route gets nothing: the {} has no match", told(routes, first));
        report.add(codes::VS19, route, message, "put the route without a match last");
    }
}

/// Reports matches that stood before.
fn repeated(routes: &[At<'_>], report: &mut Report) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (position, route) in routes.iter().enumerate() {
        for block in route.list("match") {
            let Some(fields) = block.fields() else { continue };
            let mut fields = fields.clone();
            fields.remove("name");
            let text = Value::Object(fields).to_string();
            match seen.get(&text) {
                Some(first) => {
                    let message = format!("the match stands in the {} too, which comes first", told(routes, *first));
                    report.add(codes::VS19, &block, message, "take it out, or let it differ");
                }
                None => {
                    seen.insert(text, position);
                }
            }
        }
    }
}

/// Reports prefixes that an earlier and shorter one takes.
fn covered(routes: &[At<'_>], report: &mut Report) {
    let blocks: Vec<(usize, &str, At<'_>)> = routes
        .iter()
        .enumerate()
        .flat_map(|(position, route)| route.list("match").into_iter().map(move |block| (position, block)))
        .map(|(position, block)| (position, prefix(&block), block))
        .filter(|(_, prefix, _)| !prefix.is_empty())
        .collect();
    for (at, (_, long, later)) in blocks.iter().enumerate() {
        // Of thousands of prefixes hardly one is the beginning of another: that is asked first.
        let mut shorter = blocks.iter().take(at).filter(|(_, short, _)| short != long && long.starts_with(short));
        if let Some((first, ..)) = shorter.find(|(.., earlier)| covers(earlier, later)) {
            let message = format!("the match gets nothing: a shorter prefix of the {} takes it", told(routes, *first));
            report.add(codes::VS19, later, message, "put the longer prefix first");
        }
    }
}

fn prefix<'v>(block: &At<'v>) -> &'v str {
    block.get("uri").map_or("", |uri| uri.text_of("prefix"))
}

/// Whether the earlier block takes what the later one asks for, whose prefix goes on from its own.
fn covers(earlier: &At<'_>, later: &At<'_>) -> bool {
    let method = |block: &At<'_>| Some(form(block.get("method").map(|at| at.value))).filter(|form| !form.is_empty());
    let method = |block: &At<'_>| method(block).unwrap_or_else(|| "exact:GET".to_owned());
    let authority = |block: &At<'_>| form(block.get("authority").map(|at| at.value));
    let maps = ["headers", "queryParams", "withoutHeaders"];
    earlier.whole_of("port") == later.whole_of("port")
        && method(earlier).starts_with(&method(later))
        && authority(earlier).starts_with(&authority(later))
        && ["gateways", "sourceLabels", "sourceNamespace"]
            .iter()
            .all(|field| earlier.value.get(field) == later.value.get(field))
        && maps.iter().all(|field| {
            same_forms(earlier.get(field).and_then(|at| at.fields()), later.get(field).and_then(|at| at.fields()))
        })
}

fn same_forms(earlier: Option<&Map<String, Value>>, later: Option<&Map<String, Value>>) -> bool {
    let nothing = Map::new();
    let (earlier, later) = (earlier.unwrap_or(&nothing), later.unwrap_or(&nothing));
    earlier.len() == later.len()
        && earlier
            .iter()
            .all(|(key, value)| later.get(key).is_some_and(|other| form(Some(value)).starts_with(&form(Some(other)))))
}

/// A match of text as one word that begins alike where the matches do.
fn form(value: Option<&Value>) -> String {
    let text = |form: &str| value.and_then(|value| value.get(form)?.as_str()).filter(|text| !text.is_empty());
    let exact = text("exact").map(|text| format!("exact:{text}"));
    exact.or_else(|| text("prefix").map(|text| format!("prefix:{text}"))).unwrap_or_default()
}

/// A route for a sentence: by its name, or by its number from 1.
fn told(routes: &[At<'_>], position: usize) -> String {
    match routes.get(position).map_or("", |route| route.text_of("name")) {
        "" => format!("route number {}", position + 1),
        name => format!("route `{}`", name.escape_debug()),
    }
}
