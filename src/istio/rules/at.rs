//! A value of an object together with its place, so that a rule that finds something wrong can say where.

use std::rc::Rc;

use serde_json::{Map, Value};

/// A value and the way to it from the object.
#[derive(Clone, Debug)]
pub(super) struct At<'v> {
    pub(super) value: &'v Value,
    way: Option<Rc<Step<'v>>>,
}

#[derive(Debug)]
struct Step<'v> {
    key: Key<'v>,
    before: Option<Rc<Step<'v>>>,
}

#[derive(Clone, Copy, Debug)]
enum Key<'v> {
    Field(&'v str),
    Item(usize),
}

impl<'v> At<'v> {
    /// The object itself.
    pub(super) fn root(value: &'v Value) -> Self {
        Self { value, way: None }
    }

    /// The value of a field; `null` counts as absent, as Kubernetes and Istio have it.
    pub(super) fn get(&self, field: &'v str) -> Option<Self> {
        let value = self.value.get(field).filter(|value| !value.is_null())?;
        Some(self.step(Key::Field(field), value))
    }

    /// The value behind several fields.
    pub(super) fn reach(&self, fields: &[&'v str]) -> Option<Self> {
        fields.iter().try_fold(self.clone(), |at, field| at.get(field))
    }

    /// The items of the list in this field; none where there is no list.
    pub(super) fn list(&self, field: &'v str) -> Vec<Self> {
        self.get(field).map_or_else(Vec::new, |list| list.items())
    }

    /// The items of this list.
    pub(super) fn items(&self) -> Vec<Self> {
        let items = self.value.as_array().map_or(&[][..], Vec::as_slice);
        items.iter().enumerate().map(|(position, value)| self.step(Key::Item(position), value)).collect()
    }

    /// The entries of the map in this field, those of `null` included.
    pub(super) fn map(&self, field: &'v str) -> Vec<(&'v str, Self)> {
        self.get(field).map_or_else(Vec::new, |map| map.entries())
    }

    /// The entries of this map, those of `null` included.
    pub(super) fn entries(&self) -> Vec<(&'v str, Self)> {
        let entries = self.fields().into_iter().flatten();
        entries.map(|(key, value)| (key.as_str(), self.step(Key::Field(key), value))).collect()
    }

    /// The map, where this is one.
    pub(super) fn fields(&self) -> Option<&'v Map<String, Value>> {
        self.value.as_object()
    }

    /// The text.
    pub(super) fn text(&self) -> Option<&'v str> {
        self.value.as_str()
    }

    /// The text of a field; empty where there is none, as in a protocol buffer.
    pub(super) fn text_of(&self, field: &str) -> &'v str {
        self.value.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// The whole number.
    pub(super) fn whole(&self) -> Option<i64> {
        whole(self.value)
    }

    /// The whole number of a field; 0 where there is none.
    pub(super) fn whole_of(&self, field: &str) -> i64 {
        self.value.get(field).and_then(whole).unwrap_or(0)
    }

    /// The number of a field.
    pub(super) fn number_of(&self, field: &str) -> Option<f64> {
        self.value.get(field).and_then(Value::as_f64)
    }

    /// Whether the flag of a field is set.
    pub(super) fn is(&self, field: &str) -> bool {
        self.value.get(field).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Whether a field has a value.
    pub(super) fn has(&self, field: &str) -> bool {
        self.value.get(field).is_some_and(|value| !value.is_null())
    }

    /// The number of items of the list in this field.
    pub(super) fn count(&self, field: &str) -> usize {
        self.value.get(field).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// The way as a JSON pointer (RFC 6901).
    pub(super) fn pointer(&self) -> String {
        let mut keys = Vec::new();
        let mut step = self.way.as_ref();
        while let Some(at) = step {
            keys.push(at.key);
            step = at.before.as_ref();
        }
        keys.iter().rev().fold(String::new(), |mut pointer, key| {
            pointer.push('/');
            match key {
                Key::Field(field) => pointer.push_str(&field.replace('~', "~0").replace('/', "~1")),
                Key::Item(position) => pointer.push_str(&position.to_string()),
            }
            pointer
        })
    }

    fn step(&self, key: Key<'v>, value: &'v Value) -> Self {
        Self { value, way: Some(Rc::new(Step { key, before: self.way.clone() })) }
    }
}

/// A whole number, written with a fraction of 0 or without one: API servers and Istio read both as the same.
pub(super) fn whole(value: &Value) -> Option<i64> {
    let fraction = || value.as_f64().filter(|number| number.fract() == 0.0)?.to_string().parse().ok();
    value.as_i64().or_else(fraction)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_place_is_told_as_a_pointer() {
        let object = json!({"spec": {"a/b": [{"c~d": 1}, null]}, "gone": null});
        let at = At::root(&object);
        let list = at.get("spec").unwrap().get("a/b").unwrap();
        assert_eq!(list.items()[0].get("c~d").unwrap().pointer(), "/spec/a~1b/0/c~0d");
        assert!(at.get("gone").is_none() && !at.has("gone") && at.reach(&["spec", "x"]).is_none());
        let numbers = json!({"n": 90, "f": 0.5, "z": 10.0, "big": 1e300});
        assert_eq!(["n", "f", "z", "big"].map(|field| At::root(&numbers).whole_of(field)), [90, 0, 10, 0]);
    }
}
