//! Checks a value against the table of fields. The rules then pass over what has a wrong shape: it is reported here.

use std::ops::Range;

use super::super::{
    Span, codes,
    fields::{Field, Shape, Status},
    node::{Content, Node},
    report::Report,
};

/// Checks a value of the field `name`; `at` is where a missing field is reported.
pub(crate) fn check(name: &str, node: &Node, at: &Range<usize>, shape: &Shape, report: &mut Report<'_>) {
    match (shape, &node.content) {
        (Shape::Object(fields), Content::Map(_)) => object(node, at, fields, report),
        (Shape::List(item), Content::List(items)) => {
            for node in items {
                check(&format!("an item of `{name}`"), node, place(node), item, report);
            }
        }
        (Shape::Named(value), Content::Map(entries)) => {
            for entry in entries {
                check(&entry.key, &entry.node, &entry.key_span, value, report);
            }
        }
        (Shape::Istio, Content::Map(_)) => {}
        (Shape::Either(one, _), _) if one.is_for(node) => check(name, node, at, one, report),
        (Shape::Either(_, other), _) if other.is_for(node) => check(name, node, at, other, report),
        (Shape::Flag, Content::Scalar(value)) if value.is_boolean() => {}
        (Shape::Text, Content::Scalar(value)) if value.is_string() => {}
        (Shape::Choice(words), Content::Scalar(value)) if value.is_string() => {
            let text = node.text().unwrap_or_default();
            if !words.contains(&text) {
                let message = format!("{} cannot be `{}`", quoted(name), text.escape_debug());
                report.unknown(codes::PL03, &node.span, message, text, words.iter().copied());
            }
        }
        (Shape::Duration, Content::Scalar(value)) if value.is_string() => {
            if let Err(error) = node.text().unwrap_or_default().parse::<Span>() {
                report.hint(codes::PL03, &node.span, error.to_string(), "write e.g. `90s`, `10m` or `1h30m`");
            }
        }
        (Shape::Percent, Content::Scalar(value)) if value.is_string() => {
            if percent(node).is_none() {
                let text = node.text().unwrap_or_default().escape_debug();
                let message = format!("{} is `{text}`, not a share from `0%` to `100%`", quoted(name));
                report.hint(codes::PL17, &node.span, message, "write e.g. `50%`");
            }
        }
        (Shape::Factor, Content::Scalar(value)) if value.is_number() => {
            if factor(node).is_none() {
                let message =
                    format!("{} is {value}, not a number from 0 to 10 with at most two decimals", quoted(name));
                report.add(codes::PL17, &node.span, message);
            }
        }
        (Shape::Whole { min, max }, Content::Scalar(value)) if value.is_number() => {
            if !node.whole().is_some_and(|number| (*min..=*max).contains(&number)) {
                let message = format!("{} is {value}, not a whole number from {min} to {max}", quoted(name));
                report.add(codes::PL17, &node.span, message);
            }
        }
        _ => {
            let at = if node.span.is_empty() { at } else { &node.span };
            let message = format!("{} is {}, not {}", quoted(name), node.kind(), wanted(shape));
            match (shape, &node.content) {
                (Shape::Text, Content::Scalar(value)) if !value.is_null() => {
                    report.hint(codes::PL03, at, message, format!("write \"{value}\""));
                }
                _ => report.add(codes::PL03, at, message),
            }
        }
    }
}

/// A share as written, in percent.
pub(super) fn percent(node: &Node) -> Option<u8> {
    let digits = node.text()?.strip_suffix('%')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|percent| is_number && *percent <= 100)
}

/// A factor as written, in hundredths.
pub(super) fn factor(node: &Node) -> Option<u16> {
    let hundredths = node.scalar()?.as_f64()? * 100.0;
    let whole = hundredths.round();
    let is_whole = (hundredths - whole).abs() < 1e-9;
    // Within these bounds nothing is cut.
    (is_whole && (0.0..=1_000.0).contains(&whole)).then_some(whole as u16)
}

/// Where a finding about a whole value is placed: block maps and lists have no bytes of their own.
pub(crate) fn place(node: &Node) -> &Range<usize> {
    match (node.entries().first(), node.items().first()) {
        (Some(entry), _) if node.span.is_empty() => &entry.key_span,
        (_, Some(item)) if node.span.is_empty() => place(item),
        _ => &node.span,
    }
}

fn object(node: &Node, at: &Range<usize>, fields: &[Field], report: &mut Report<'_>) {
    for entry in node.entries() {
        match fields.iter().find(|field| field.name == entry.key) {
            None => {
                let known = fields.iter().filter(|field| field.status != Status::Later).map(|field| field.name);
                let message = format!("unknown field `{}`", entry.key);
                report.unknown(codes::PL01, &entry.key_span, message, &entry.key, known);
            }
            Some(field) if field.status == Status::Later => {
                let message = format!("`{}` ({}) is not supported by this version", field.name, field.about);
                report.add(codes::PL02, &entry.key_span, message);
            }
            Some(field) if entry.node.is_null() && field.status == Status::Optional => {}
            Some(field) => check(field.name, &entry.node, &entry.key_span, &field.shape, report),
        }
    }
    for field in fields.iter().filter(|field| field.status == Status::Required) {
        if node.entry(field.name).is_none() {
            let message = format!("`{}` is missing", field.name);
            report.hint(codes::PL04, at, message, format!("`{}`: {}", field.name, field.about));
        }
    }
}

fn quoted(name: &str) -> String {
    if name.starts_with("an item of") { name.to_owned() } else { format!("`{name}`") }
}

fn wanted(shape: &Shape) -> String {
    let one = match shape {
        Shape::Either(one, other) => return format!("{} or {}", wanted(one), wanted(other)),
        Shape::Text => "text",
        Shape::Choice(_) => "one of its words",
        Shape::Flag => "`true` or `false`",
        Shape::Whole { .. } => "a whole number",
        Shape::Duration => "a duration like `10m`",
        Shape::Factor => "a number",
        Shape::Percent => "a share like `50%`",
        Shape::Object(_) | Shape::Named(_) | Shape::Istio => "a map",
        Shape::List(_) => "a list",
    };
    one.to_owned()
}
