//! Checks values against the types that Istio gives the fields of its objects.

use serde_json::Value;

use super::{
    at::{At, whole},
    report::Report,
};
use crate::plan::{codes, duration_ns};

/// What a value must be.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Text,
    Flag,
    Int32,
    Uint32,
    Uint64,
    Double,
    Duration,
    /// One of these words.
    Choice(&'static [&'static str]),
    Object(&'static Shape),
    List(&'static Form),
    Map(&'static Form),
}

/// The fields of a map.
pub(super) struct Shape {
    pub(super) fields: &'static [Field],
    /// Of each of these, one at most may be set.
    pub(super) one_of: &'static [&'static [&'static str]],
}

/// A field of a map.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) required: bool,
}

/// A field that may be left out.
pub(super) const fn field(name: &'static str, form: Form) -> Field {
    Field { name, form, required: false }
}

/// A field that may not.
pub(super) const fn required(name: &'static str, form: Form) -> Field {
    Field { name, form, required: true }
}

/// Reports what is not of the form; `null` counts as absent.
pub(super) fn check(at: &At<'_>, form: &Form, report: &mut Report) {
    let value = at.value;
    match form {
        Form::Object(shape) => {
            if expect(value.is_object() || value.is_null(), at, "a map", report) {
                object(at, shape, report);
            }
        }
        Form::List(item) => {
            if expect(value.is_array(), at, "a list", report) {
                for at in at.items() {
                    // As the API server has it: only a field may be left out by `null`.
                    if expect(!at.value.is_null(), &at, "an item", report) {
                        check(&at, item, report);
                    }
                }
            }
        }
        Form::Map(item) => {
            if expect(value.is_object(), at, "a map", report) {
                at.entries().iter().for_each(|(_, at)| check(at, item, report));
            }
        }
        _ if value.is_null() => {}
        Form::Text => {
            expect(value.is_string(), at, "text", report);
        }
        Form::Flag => {
            expect(value.is_boolean(), at, "`true` or `false`", report);
        }
        Form::Int32 => {
            expect(whole(value).is_some_and(|number| i32::try_from(number).is_ok()), at, "a whole number", report);
        }
        Form::Uint32 => {
            let good = whole(value).is_some_and(|number| u32::try_from(number).is_ok());
            expect(good, at, "a whole number of 0 or more", report);
        }
        Form::Uint64 => {
            let good = value.as_u64().is_some() || whole(value).is_some_and(|number| number >= 0);
            expect(good, at, "a whole number of 0 or more", report);
        }
        Form::Double => {
            expect(value.is_number(), at, "a number", report);
        }
        Form::Duration => {
            expect(value.as_str().and_then(duration_ns).is_some(), at, "a duration such as `10s`", report);
        }
        Form::Choice(words) => {
            if !value.as_str().is_some_and(|text| words.contains(&text)) {
                let hint = format!("write one of {}", words.join(", "));
                report.add(codes::IST0106, at, format!("{} is none of its words", shown(value)), hint);
            }
        }
    }
}

fn object(at: &At<'_>, shape: &Shape, report: &mut Report) {
    for (key, at) in at.entries() {
        match shape.fields.iter().find(|field| field.name == key) {
            Some(_) if at.value.is_null() => {}
            Some(field) => check(&at, &field.form, report),
            None => {
                let known = shape.fields.iter().map(|field| field.name);
                let near = known.clone().min_by_key(|known| strsim::damerau_levenshtein(known, key));
                let hint = match near.filter(|near| strsim::damerau_levenshtein(near, key) <= 2) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known here: {}", known.collect::<Vec<_>>().join(", ")),
                };
                report.add(codes::IST0133, &at, format!("Istio is not known to have `{key}` here"), hint);
            }
        }
    }
    for field in shape.fields.iter().filter(|field| field.required && !at.has(field.name)) {
        let name = field.name;
        report.add(codes::IST0106, at, format!("`{name}` is missing"), format!("write `{name}`"));
    }
    for names in shape.one_of {
        let set: Vec<&str> = names.iter().copied().filter(|name| at.has(name)).collect();
        if set.len() > 1 {
            let message = format!("{} stand together", set.join(" and "));
            report.add(codes::IST0106, at, message, "keep one of them");
        }
    }
}

fn expect(good: bool, at: &At<'_>, wanted: &str, report: &mut Report) -> bool {
    if !good {
        let message = format!("{} is not {wanted}", shown(at.value));
        report.add(codes::IST0106, at, message, format!("write {wanted}"));
    }
    good
}

/// A value, for a sentence.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Object(_) => "a map".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) => format!("\"{}\"", text.escape_debug()),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
