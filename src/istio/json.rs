//! JSON values as an API server keeps them: when two are the same, and what it leaves out.

use serde_json::{Map, Value};

/// Whether an API server that was given one may answer with the other: members of null are left out, and `10.0`
/// comes back as `10`.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => same_map(one, other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Number(one), Value::Number(other)) => {
            one == other || ((one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64())
        }
        _ => one == other,
    }
}

/// [`same`] for two objects.
pub(super) fn same_map(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    let absent = |map: &Map<String, Value>, key: &str| map.get(key).is_none_or(Value::is_null);
    one.iter().all(|(key, value)| match other.get(key) {
        Some(counterpart) => same(value, counterpart),
        None => value.is_null(),
    }) && other.iter().all(|(key, value)| value.is_null() || !absent(one, key))
}

/// The value without members of null, at every depth.
pub(super) fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(map_without_nulls(map)),
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        _ => value.clone(),
    }
}

/// [`without_nulls`] for an object.
pub(super) fn map_without_nulls(map: &Map<String, Value>) -> Map<String, Value> {
    map.iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.clone(), without_nulls(value))).collect()
}

/// The texts of a list, in order; anything else in it is passed over.
pub(super) fn texts(list: Option<&Value>) -> impl Iterator<Item = &str> {
    items(list).iter().filter_map(Value::as_str)
}

/// The items of a list; none where there is no list.
pub(super) fn items(list: Option<&Value>) -> &[Value] {
    list.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_is_the_same_as_absent_and_ten_as_ten_point_nought() {
        assert!(same(&json!({"a": null, "b": [{"c": 10.0}]}), &json!({"b": [{"c": 10}], "d": null})));
        assert!(same(&json!({"a": null}), &json!({"a": null})));
        for (one, other) in [
            (json!({"a": null}), json!({"a": 0})),
            (json!({"a": 0}), json!({"a": null})),
            (json!({}), json!({"a": 0})),
            (json!([1]), json!([1, 2])),
            (json!([null]), json!([])),
            (json!("1"), json!(1)),
        ] {
            assert!(!same(&one, &other), "{one} {other}");
        }
    }

    #[test]
    fn members_of_null_are_left_out_at_every_depth() {
        assert_eq!(without_nulls(&json!({"a": null, "b": [{"c": null, "d": 1}]})), json!({"b": [{"d": 1}]}));
    }
}
