//! The rules of what an HTTP route matches by.

use super::{
    at::At,
    names, re2,
    report::Report,
    syntax::{is_claim, is_header, is_label},
};
use crate::plan::codes;

/// Istio's limit, in bytes.
const REGEX_BYTES_MAX: usize = 1_024;
const PSEUDO_HEADERS: [&str; 5] = [":method", ":scheme", ":authority", ":path", ":status"];

/// Checks one match block.
pub(super) fn check(block: &At<'_>, report: &mut Report) {
    for (name, at) in block.map("headers") {
        header(name, &at, report);
        string(&at, "headers", report);
    }
    for (name, at) in block.map("withoutHeaders") {
        header(name, &at, report);
        // Istio's word for "is present", though no expression.
        if at.text_of("regex") != "*" {
            string(&at, "withoutHeaders", report);
        }
    }
    if let Some(uri) = block.get("uri") {
        expression(&uri, "uri", report);
        if let Some(prefix) = uri.get("prefix") {
            let text = prefix.text().unwrap_or_default();
            if !text.is_empty() && !text.ends_with('/') {
                let message = format!("the prefix `{}` also takes longer words", text.escape_debug());
                report.add(codes::TG20, &prefix, message, format!("write `{text}/`, or add `exact: {text}`"));
            }
        }
    }
    for field in ["scheme", "method", "authority"] {
        if let Some(at) = block.get(field) {
            string(&at, field, report);
        }
    }
    for (_, at) in block.map("queryParams") {
        string(&at, "queryParams", report);
    }
    names::port(block, report);
    names::labels(block, "sourceLabels", codes::VS08, report);
    names::gateways(block, report);
    if let Some(at) = block.get("sourceNamespace") {
        let name = at.text().unwrap_or_default();
        if !name.is_empty() && !is_label(name) {
            let message = format!("`{}` is no name of a namespace", name.escape_debug());
            report.add(codes::VS08, &at, message, "use letters, digits and `-`, at most 63");
        }
    }
    if let Some(labels) = block.get("sourceLabels").filter(|_| block.count("gateways") > 0) {
        let message = "`sourceLabels` together with `gateways`: Istio ignores the labels";
        report.add(codes::TG07, &labels, message, "match the labels in a block of its own, without `gateways`");
    }
}

fn header(name: &str, at: &At<'_>, report: &mut Report) {
    if !is_claim(name) && !PSEUDO_HEADERS.contains(&name) && !is_header(name) {
        let message = format!("`{}` is no name of a header", name.escape_debug());
        report.add(codes::VS14, at, message, "use letters, digits and `-`");
    }
}

/// Checks a match of text, of which prefix and expression must not be empty.
fn string(at: &At<'_>, field: &str, report: &mut Report) {
    if let Some(prefix) = at.get("prefix").filter(|prefix| prefix.text() == Some("") && !at.has("regex")) {
        let message = format!("an empty prefix of `{field}` matches everything: Istio refuses it");
        report.add(codes::VS15, &prefix, message, "write `{}` for whatever is present, or leave the match out");
    }
    expression(at, field, report);
}

/// Checks the expression of a match, if it has one.
pub(super) fn expression(at: &At<'_>, field: &str, report: &mut Report) {
    let Some(regex) = at.get("regex") else { return };
    if let Some(fault) = expression_fault(regex.text().unwrap_or_default()) {
        let message = format!("the expression of `{field}` {fault}");
        report.add(
            codes::VS15,
            &regex,
            message,
            "write an RE2 expression of at most 1,024 bytes, such as `/v[0-9]+/.*`",
        );
    }
}

/// What is wrong with an expression.
pub(super) fn expression_fault(text: &str) -> Option<&'static str> {
    match text.len() {
        0 => Some("is empty"),
        length if length > REGEX_BYTES_MAX => Some("is longer than 1,024 bytes"),
        _ => re2::fault(text),
    }
}
