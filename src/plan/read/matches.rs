//! Checks Istio match blocks.

use serde_json::{Map, Value};

use super::super::{codes, node::Entry, node::Node, report::Report};
use super::{shape::place, syntax::is_gateway};

/// What a field of a match block holds.
enum Form {
    Match,
    Matches,
    Texts,
    Text,
    Flag,
    Port,
    Gateways,
}

const FIELDS: [(&str, Form); 14] = [
    ("name", Form::Text),
    ("uri", Form::Match),
    ("scheme", Form::Match),
    ("method", Form::Match),
    ("authority", Form::Match),
    ("headers", Form::Matches),
    ("withoutHeaders", Form::Matches),
    ("queryParams", Form::Matches),
    ("port", Form::Port),
    ("sourceLabels", Form::Texts),
    ("sourceNamespace", Form::Text),
    ("gateways", Form::Gateways),
    ("ignoreUriCase", Form::Flag),
    ("statPrefix", Form::Text),
];
const FORMS: [&str; 3] = ["exact", "prefix", "regex"];
/// Istio's limit, in bytes.
const REGEX_BYTES_MAX: usize = 1024;

/// The match blocks of a route or pin.
pub(super) fn read(owner: &Node, report: &mut Report<'_>) -> Vec<Map<String, Value>> {
    let blocks = owner.get("match").map_or(&[][..], Node::items);
    for entry in blocks.iter().flat_map(Node::set_entries) {
        let Some((_, form)) = FIELDS.iter().find(|(field, _)| *field == entry.key) else {
            let message = format!("Istio matches nothing by `{}`", entry.key);
            report.unknown(codes::PL15, &entry.key_span, message, &entry.key, FIELDS.iter().map(|(field, _)| *field));
            continue;
        };
        field(entry, form, report);
    }
    blocks.iter().filter(|block| block.is_map()).map(Node::map).collect()
}

fn field(entry: &Entry, form: &Form, report: &mut Report<'_>) {
    let node = &entry.node;
    let mut expect = |valid: bool, wanted: &str| {
        if !valid {
            let message = format!("`{}` is {}, not {wanted}", entry.key, node.kind());
            report.add(codes::PL15, place(node), message);
        }
    };
    match form {
        Form::Text => expect(node.text().is_some(), "text"),
        Form::Flag => expect(node.scalar().is_some_and(Value::is_boolean), "`true` or `false`"),
        Form::Texts => {
            expect(node.is_map() && node.entries().iter().all(|entry| entry.node.text().is_some()), "a map of text")
        }
        Form::Gateways => {
            expect(node.items().iter().all(|gateway| gateway.text().is_some_and(is_gateway)), "a list of gateways");
        }
        Form::Port => {
            if !node.whole().is_some_and(|port| (1..=65_535).contains(&port)) {
                report.add(codes::PL17, place(node), "a port is a whole number from 1 to 65535");
            }
        }
        Form::Match => string_match(entry, report),
        Form::Matches => {
            expect(node.is_map(), "a map");
            for entry in node.set_entries() {
                // An empty match is Istio's word for "is present".
                if !(entry.node.is_map() && entry.node.entries().is_empty()) {
                    string_match(entry, report);
                }
            }
        }
    }
}

fn string_match(entry: &Entry, report: &mut Report<'_>) {
    let name = &entry.key;
    let hint = || format!("write `{name}: {{exact: …}}`, with `exact`, `prefix` or `regex`");
    let [form] = entry.node.entries() else {
        let message = match entry.node.is_map() {
            true => format!("`{name}` has not exactly one of exact, prefix and regex"),
            false => format!("`{name}` is {}, not a match", entry.node.kind()),
        };
        return report.hint(codes::PL15, &entry.key_span, message, hint());
    };
    if !FORMS.contains(&form.key.as_str()) {
        let message = format!("Istio knows no match of the form `{}`", form.key);
        return report.unknown(codes::PL15, &form.key_span, message, &form.key, FORMS);
    }
    let Some(text) = form.node.text() else {
        let message = format!("`{}` is {}, not text", form.key, form.node.kind());
        let at = if form.node.is_null() { &form.key_span } else { place(&form.node) };
        return report.add(codes::PL15, at, message);
    };
    if text.is_empty() && form.key != "exact" {
        report.add(codes::VS15, &form.node.span, format!("an empty {} matches everything: Istio refuses it", form.key));
    }
    if form.key == "regex" && text.len() > REGEX_BYTES_MAX {
        let message = format!("the regex has {} bytes, Istio's limit is {REGEX_BYTES_MAX}", text.len());
        report.add(codes::VS15, &form.node.span, message);
    }
    if name == "uri" && form.key == "prefix" && !text.is_empty() && !text.ends_with('/') {
        let message = format!("the prefix `{text}` also takes `{text}x`");
        report.hint(codes::TG20, &form.node.span, message, format!("write `{text}/`, or add `exact: {text}`"));
    }
}
