//! Holds what `status` and `history` print to the schemas that `schema` prints.

use serde_json::Value;

/// What is wrong with a value by a JSON Schema; only the keywords that these schemas use are known,
/// any other one is a fault of its own.
pub fn faults(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (keyword, rule) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "$schema" | "title" | "description" => true,
            "type" => types(rule).any(|name| is(value, name)),
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "required" => value.as_object().is_none_or(|object| {
                rule.as_array().unwrap().iter().all(|key| object.contains_key(key.as_str().unwrap()))
            }),
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
            "pattern" => {
                let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
                let is_commit = |digits: &str| digits.len() == 40 && digits.chars().all(hex);
                value.as_str().is_none_or(|text| match rule.as_str().unwrap() {
                    "^[0-9a-f]{40}$" => is_commit(text),
                    "^.+@sha1:[0-9a-f]{40}$" => {
                        let (branch, digits) = text.rsplit_once("@sha1:").unwrap_or_default();
                        !branch.is_empty() && is_commit(digits)
                    }
                    other => panic!("the pattern {other} at {at} is not known here"),
                })
            }
            "format" => {
                assert_eq!(rule, "date-time");
                value.as_str().is_none_or(|text| text.parse::<jiff::Timestamp>().is_ok())
            }
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    faults.extend(self::faults(rule, item, &format!("{at}/{number}")));
                }
                true
            }
            "properties" => {
                for (key, item) in value.as_object().into_iter().flatten() {
                    match rule.get(key) {
                        Some(rule) => faults.extend(self::faults(rule, item, &format!("{at}/{key}"))),
                        None => faults.push(format!("{at}/{key} is not in the schema")),
                    }
                }
                true
            }
            "additionalProperties" => {
                for (key, item) in value.as_object().into_iter().flatten() {
                    faults.extend(self::faults(rule, item, &format!("{at}/{key}")));
                }
                true
            }
            other => panic!("the keyword {other} at {at} is not known here"),
        };
        if !holds {
            faults.push(format!("{at}: {value} breaks {keyword} {rule}"));
        }
    }
    faults
}

fn types(rule: &Value) -> impl Iterator<Item = &str> {
    let several = rule.as_array().into_iter().flatten().filter_map(Value::as_str);
    rule.as_str().into_iter().chain(several)
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the type {other} is not known here"),
    }
}

#[test]
fn the_validator_finds_faults() {
    let schema = serde_json::json!({"type": "object", "required": ["a"], "properties": {"a": {"type": ["integer", "null"], "maximum": 3}}});
    let of = |value: Value| faults(&schema, &value, "").len();
    assert_eq!(of(serde_json::json!({"a": 3})), 0);
    assert_eq!(of(serde_json::json!({"a": null})), 0);
    assert_eq!(of(serde_json::json!({"a": 4})), 1);
    assert_eq!(of(serde_json::json!({"a": "3"})), 1);
    assert_eq!(of(serde_json::json!({"b": 3})), 2);
    assert_eq!(of(serde_json::json!([])), 1);
}
