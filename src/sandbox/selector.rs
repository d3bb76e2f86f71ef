//! Parses label and field selectors and says which objects they pick.

use super::object::Object;
use super::refusal::Refusal;
use super::resource::Resource;

/// What a label must be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
}

/// Picks objects by labels and fields; the default picks all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    labels: Vec<(String, Test)>,
    fields: Vec<(String, String, bool)>,
}

impl Selector {
    /// Parses both selectors of a query; either may be empty.
    ///
    /// # Errors
    /// Refuses what is no selector, and fields that the resource can't be selected by.
    pub fn parse(labels: &str, fields: &str, resource: &Resource) -> Result<Self, Refusal> {
        let labels = split_outside_parentheses(labels).into_iter().map(requirement).collect::<Result<_, _>>()?;
        let fields = fields
            .split(',')
            .filter(|part| !part.trim().is_empty())
            .map(|part| field(part.trim(), resource))
            .collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    /// Returns whether every object is picked.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Returns whether an object is picked.
    pub fn picks(&self, object: &Object) -> bool {
        self.labels.iter().all(|(key, test)| match (test, object.label(key)) {
            (Test::In(values), Some(value)) => values.iter().any(|v| v == value),
            (Test::NotIn(values), Some(value)) => values.iter().all(|v| v != value),
            (Test::Exists, Some(_)) | (Test::NotIn(_) | Test::Absent, None) => true,
            (Test::In(_) | Test::Exists, None) | (Test::Absent, Some(_)) => false,
        }) && self.fields.iter().all(|(path, wanted, equal)| {
            let pointer = format!("/{}", path.replace('.', "/"));
            let mut parts = pointer.split('/').skip(1);
            let first = parts.next().and_then(|part| object.body.get(part));
            let found = parts.try_fold(first, |value, part| value.map(|v| v.get(part))).flatten();
            (found.and_then(|value| value.as_str()).unwrap_or_default() == wanted) == *equal
        })
    }
}

fn field(part: &str, resource: &Resource) -> Result<(String, String, bool), Refusal> {
    let (path, value, equal) = if let Some((path, value)) = part.split_once("!=") {
        (path, value, false)
    } else if let Some((path, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        (path, value, true)
    } else {
        return Err(Refusal::BadRequest(format!("invalid selector: '{part}'; can't understand '{part}'")));
    };
    let known = match resource.plural {
        "pods" => &["metadata.name", "metadata.namespace", "status.phase", "spec.nodeName"][..],
        "events" => &[
            "metadata.name",
            "metadata.namespace",
            "involvedObject.name",
            "involvedObject.namespace",
            "involvedObject.kind",
            "involvedObject.uid",
            "reason",
            "type",
        ][..],
        _ => &["metadata.name", "metadata.namespace"][..],
    };
    let inward = match path.strip_prefix("regarding.") {
        Some(rest) => format!("involvedObject.{rest}"),
        None => path.to_owned(),
    };
    if !known.contains(&inward.as_str()) {
        return Err(Refusal::BadRequest(format!("field label not supported: {path}")));
    }
    Ok((inward, value.to_owned(), equal))
}

fn requirement(part: &str) -> Result<(String, Test), Refusal> {
    let refuse = |why: &str| Refusal::BadRequest(format!("unable to parse requirement: {why}"));
    if let Some(key) = part.strip_prefix('!') {
        return Ok((key.trim().to_owned(), Test::Absent));
    }
    if let Some((head, values)) = part.split_once('(') {
        let values = values.strip_suffix(')').ok_or_else(|| refuse("found '' expected: ')'"))?;
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        let mut words = head.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => Ok((key.to_owned(), Test::In(values))),
            (Some(key), Some("notin"), None) => Ok((key.to_owned(), Test::NotIn(values))),
            _ => Err(refuse("expected: 'in', 'notin'")),
        };
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Ok((key.trim().to_owned(), Test::NotIn(vec![value.trim().to_owned()])));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok((key.trim().to_owned(), Test::In(vec![value.trim().to_owned()])));
    }
    if part.contains(char::is_whitespace) {
        return Err(refuse("found '' expected: '('"));
    }
    Ok((part.to_owned(), Test::Exists))
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut inside = false;
    text.split(|c| {
        match c {
            '(' => inside = true,
            ')' => inside = false,
            _ => {}
        }
        c == ',' && !inside
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::resource::by_plural;
    use serde_json::json;

    fn picks(labels: &str, fields: &str) -> bool {
        let object =
            json!({"metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web", "tier": "front"}}});
        let object = Object { body: object.as_object().unwrap().clone(), ..Object::default() };
        Selector::parse(labels, fields, by_plural("pods").unwrap()).unwrap().picks(&object)
    }

    #[test]
    fn labels_are_picked_by_equality_and_by_set() {
        for labels in [
            "",
            "app=web",
            "app==web,tier",
            "app in (api, web)",
            "app notin (api),tier=front",
            "!canary",
            "app!=api",
            "x!=y",
        ] {
            assert!(picks(labels, ""), "{labels}");
        }
        for labels in ["app=api", "app in (api)", "app notin (web)", "!app", "canary", "app!=web", "app=web,tier=back"]
        {
            assert!(!picks(labels, ""), "{labels}");
        }
    }

    #[test]
    fn fields_are_picked_by_name_and_namespace() {
        assert!(picks("", "metadata.name=web,metadata.namespace==shop"));
        assert!(!picks("", "metadata.name!=web"));
        assert!(picks("", "status.phase!=Running"));
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        let pods = by_plural("pods").unwrap();
        assert_eq!(Selector::parse("a in", "", pods).unwrap_err().code(), 400);
        assert_eq!(Selector::parse("", "spec.x=1", pods).unwrap_err().code(), 400);
    }
}
