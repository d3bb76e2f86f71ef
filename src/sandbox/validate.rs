//! Refuses objects that the real server would refuse: names, labels, sizes, and a little of Istio's schema.

use serde_json::Value;

use super::object::{Body, Object, Shape, View};
use super::refusal::{Cause, Named, Refusal};
use super::resource::{Origin, Resource, Served};

/// The most that all annotations of an object may hold, in bytes.
const ANNOTATIONS_MAX: usize = 256 * 1024;
/// The most that an object may hold, in bytes: what etcd takes in one request.
const OBJECT_MAX: usize = 1536 * 1024;

enum Rule {
    Needs(&'static str),
    Integer,
    List,
    Text,
}

/// What Istio's definitions ask for, as far as tidegate can get it wrong: (resource, path, rule).
const SCHEMA: &[(&str, &str, Rule)] = &[
    ("virtualservices", "spec.hosts", Rule::List),
    ("virtualservices", "spec.gateways", Rule::List),
    ("virtualservices", "spec.http", Rule::List),
    ("virtualservices", "spec.http.[].name", Rule::Text),
    ("virtualservices", "spec.http.[].timeout", Rule::Text),
    ("virtualservices", "spec.http.[].match", Rule::List),
    ("virtualservices", "spec.http.[].route", Rule::List),
    ("virtualservices", "spec.http.[].route.[].weight", Rule::Integer),
    ("virtualservices", "spec.http.[].route.[]", Rule::Needs("destination")),
    ("virtualservices", "spec.http.[].route.[].destination", Rule::Needs("host")),
    ("virtualservices", "spec.http.[].mirror", Rule::Needs("host")),
    ("virtualservices", "spec.http.[].mirrors.[]", Rule::Needs("destination")),
    ("virtualservices", "spec.tcp.[].route.[]", Rule::Needs("destination")),
    ("virtualservices", "spec.tcp.[].route.[].weight", Rule::Integer),
    ("virtualservices", "spec.tls.[].route.[]", Rule::Needs("destination")),
    ("virtualservices", "spec.tls.[].route.[].weight", Rule::Integer),
    ("destinationrules", "spec.subsets", Rule::List),
    ("destinationrules", "spec.subsets.[]", Rule::Needs("name")),
    ("destinationrules", "spec", Rule::Needs("host")),
    ("serviceentries", "spec", Rule::Needs("hosts")),
];

/// Checks an object that is about to be stored.
///
/// # Errors
/// Refuses it with every mistake that was found.
pub fn check(resource: &'static Resource, served: &Served, object: &Object) -> Result<(), Refusal> {
    let mut causes = Vec::new();
    let name = object.meta("name");
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if !is_name(name) {
        causes.push(Cause::invalid(
            "metadata.name",
            format!("Invalid value: {name:?}: must be a lowercase RFC 1123 subdomain"),
        ));
    }
    let texts =
        |field| object.metadata().and_then(|meta| meta.get(field)).and_then(Value::as_object).into_iter().flatten();
    for (key, value) in texts("labels") {
        if !is_label_key(key) {
            causes
                .push(Cause::invalid("metadata.labels", format!("Invalid value: {key:?}: not a qualified label name")));
        }
        let value = value.as_str().unwrap_or_default();
        if !value.is_empty() && !is_label_text(value) {
            causes.push(Cause::invalid("metadata.labels", format!("Invalid value: {value:?}: not a label value")));
        }
    }
    for field in ["labels", "annotations"] {
        if let Some((key, _)) = texts(field).find(|(_, value)| !value.is_string()) {
            causes.push(Cause::invalid(format!("metadata.{field}"), format!("Invalid value: {key:?}: not a string")));
        }
    }
    let annotations: usize =
        texts("annotations").map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if annotations > ANNOTATIONS_MAX {
        let message = format!("Too long: may not be more than {ANNOTATIONS_MAX} bytes");
        causes.push(Cause { reason: "FieldValueTooLong", message, field: "metadata.annotations".into() });
    }
    for (plural, path, rule) in SCHEMA {
        if *plural == resource.plural {
            judge(&object.body, path, rule, &mut causes);
        }
    }
    if !causes.is_empty() {
        // A plain bad value, as a name or a label has it, leaves the definition's rules to be checked; the rest does not.
        if resource.origin == Origin::Istio && causes.iter().any(|cause| cause.reason != "FieldValueInvalid") {
            let skipped = "Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
            causes.push(Cause::invalid("<nil>", skipped));
        }
        return Err(Refusal::Invalid { named: Named::new(resource, name), causes });
    }
    let mut size = Counter(0);
    let written = serde_json::to_writer(&mut size, &View { object, resource, served, shape: Shape::Whole });
    if written.is_err() || size.0 > OBJECT_MAX { Err(Refusal::ObjectTooLarge) } else { Ok(()) }
}

struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn judge(body: &Body, path: &str, rule: &Rule, causes: &mut Vec<Cause>) {
    let (first, rest) = path.split_once('.').map_or((path, ""), |(first, rest)| (first, rest));
    if let Some(value) = body.get(first) {
        walk(value, rest, first, rule, causes);
    }
}

fn walk(value: &Value, path: &str, at: &str, rule: &Rule, causes: &mut Vec<Cause>) {
    let (first, rest) = path.split_once('.').map_or((path, ""), |(first, rest)| (first, rest));
    match (first, value) {
        ("", _) => obey(value, at, rule, causes),
        ("[]", Value::Array(items)) => {
            for (i, item) in items.iter().enumerate() {
                walk(item, rest, &format!("{at}[{i}]"), rule, causes);
            }
        }
        (key, Value::Object(map)) => {
            if let Some(value) = map.get(key) {
                walk(value, rest, &format!("{at}.{key}"), rule, causes);
            }
        }
        _ => {}
    }
}

fn obey(value: &Value, at: &str, rule: &Rule, causes: &mut Vec<Cause>) {
    let wanted = match rule {
        Rule::Needs(field) => {
            if value.as_object().is_some_and(|map| map.get(*field).is_none_or(Value::is_null)) {
                causes.push(Cause::required(format!("{at}.{field}"), ""));
            }
            return;
        }
        Rule::Integer if value.as_i64().is_none() => "integer",
        Rule::List if !value.is_array() => "array",
        Rule::Text if !value.is_string() => "string",
        _ => return,
    };
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    causes.push(Cause {
        reason: "FieldValueTypeInvalid",
        message: format!("Invalid value: \"{found}\": {at} in body must be of type {wanted}: \"{found}\""),
        field: at.to_owned(),
    });
}

/// Returns whether a text can name an object.
pub fn is_name(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 253
        && name
            .split('.')
            .all(|part| part.starts_with(edge) && part.ends_with(edge) && part.chars().all(|c| edge(c) || c == '-'))
}

fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_name(prefix) && is_label_text(name),
        None => is_label_text(key),
    }
}

fn is_label_text(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::resource::by_plural;
    use serde_json::json;

    fn refused(plural: &str, body: Value) -> Vec<(String, String)> {
        let resource = by_plural(plural).unwrap();
        let object = Object { body: body.as_object().unwrap().clone(), ..Object::default() };
        match check(resource, &resource.served[0], &object) {
            Err(Refusal::Invalid { causes, .. }) => causes.into_iter().map(|c| (c.field, c.message)).collect(),
            Err(other) => vec![(other.code().to_string(), other.to_string())],
            Ok(()) => vec![],
        }
    }

    #[test]
    fn a_weight_must_be_an_integer_and_a_destination_needs_a_host() {
        let spec = json!({"http": [{"route": [{"destination": {"subset": "v1"}, "weight": "7"}]}]});
        let causes = refused("virtualservices", json!({"metadata": {"name": "web"}, "spec": spec}));
        assert_eq!(causes[0].0, "spec.http[0].route[0].weight");
        assert!(causes[0].1.ends_with("must be of type integer: \"string\""), "{}", causes[0].1);
        assert_eq!(causes[1], ("spec.http[0].route[0].destination.host".into(), "Required value".into()));
        assert_eq!(causes.len(), 3);
        assert_eq!(
            refused(
                "virtualservices",
                json!({"metadata": {"name": "web"}, "spec": {"http": [{"route": [{"destination": {"host": "a"}, "weight": 7}]}]}})
            ),
            []
        );
    }

    #[test]
    fn a_quarter_of_a_mebibyte_of_annotations_is_the_limit() {
        let with =
            |bytes: usize| refused("pods", json!({"metadata": {"name": "p", "annotations": {"a": "x".repeat(bytes)}}}));
        assert_eq!(with(ANNOTATIONS_MAX - 1), []);
        assert_eq!(with(ANNOTATIONS_MAX)[0].0, "metadata.annotations");
    }

    #[test]
    fn an_object_larger_than_the_database_takes_is_refused() {
        let causes = refused("configmaps", json!({"metadata": {"name": "c"}, "data": {"a": "x".repeat(OBJECT_MAX)}}));
        assert_eq!(causes[0].0, "500");
    }

    #[test]
    fn names_are_lower_case_subdomains() {
        assert!(is_name("a.b-c.9"));
        for bad in ["", "A", "a_b", "-a", "a..b", "a-"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
