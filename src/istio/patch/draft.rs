//! Collects the operations of one patch: identity first, then tests of what is touched, then the edits.

use json_patch::{
    AddOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation, TestOperation, jsonptr::PointerBuf,
};
use serde_json::{Map, Value, json};

use super::Marks;
use crate::{
    istio::edit::{Change, Edit, ObjectKind},
    plan::ObjectKey,
};

/// A patch of one live object in the making. Paths are given as reference tokens and refer to the live object.
pub(super) struct Draft<'a> {
    pub(super) live: &'a Value,
    tests: Vec<PatchOperation>,
    edits: Vec<PatchOperation>,
    /// The object with the edits so far; none before the first.
    meant: Option<Value>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(live: &'a Value) -> Self {
        Self { live, tests: Vec::new(), edits: Vec::new(), meant: None }
    }

    /// Tests that the place still holds what it held; a place that held nothing fails at the server.
    pub(super) fn test(&mut self, path: &[&str]) {
        self.tests.push(self.test_of(path));
    }

    fn test_of(&self, path: &[&str]) -> PatchOperation {
        let value = path.iter().try_fold(self.live, |value, token| member(value, token)).cloned().unwrap_or_default();
        PatchOperation::Test(TestOperation { path: pointer(path), value })
    }

    /// Puts a value in a place, whether or not there is one.
    pub(super) fn set(&mut self, path: &[&str], value: Value) {
        let there = path.iter().try_fold(self.live, |value, token| member(value, token)).is_some();
        if let Some((parent, last)) = self.parent(path) {
            match parent {
                Value::Object(map) => drop(map.insert(last.to_owned(), value.clone())),
                Value::Array(list) if there => {
                    if let Some(place) = last.parse::<usize>().ok().and_then(|at| list.get_mut(at)) {
                        *place = value.clone();
                    }
                }
                Value::Array(list) if last == "-" => list.push(value.clone()),
                _ => {}
            }
        }
        let path = pointer(path);
        self.edits.push(if there {
            PatchOperation::Replace(ReplaceOperation { path, value })
        } else {
            PatchOperation::Add(AddOperation { path, value })
        });
    }

    /// Removes what is in a place.
    pub(super) fn remove(&mut self, path: &[&str]) {
        match self.parent(path) {
            Some((Value::Object(map), last)) => drop(map.remove(last)),
            Some((Value::Array(list), last)) => {
                if let Some(at) = last.parse().ok().filter(|at| *at < list.len()) {
                    list.remove(at);
                }
            }
            _ => {}
        }
        self.edits.push(PatchOperation::Remove(RemoveOperation { path: pointer(path) }));
    }

    /// What holds a place of the object that is meant, and the place's name in it. It is missing only in an object
    /// without metadata, which the test of its uid refuses at the server.
    fn parent<'p>(&mut self, path: &[&'p str]) -> Option<(&mut Value, &'p str)> {
        let (last, way) = path.split_last()?;
        let mut value = self.meant.get_or_insert_with(|| self.live.clone());
        for token in way {
            value = match value {
                Value::Object(map) => map.get_mut(*token)?,
                Value::Array(list) => list.get_mut(token.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some((value, last))
    }

    /// Sets and removes labels and annotations.
    pub(super) fn mark(&mut self, marks: &Marks) {
        let labels = marks.labels.iter().map(|(key, value)| (key.as_str(), Some(value.as_str())));
        self.mark_section("labels", labels);
        let annotations = marks.annotations.iter().map(|(key, value)| (key.as_str(), value.as_deref()));
        self.mark_section("annotations", annotations);
    }

    fn mark_section<'m>(&mut self, section: &str, marks: impl Iterator<Item = (&'m str, Option<&'m str>)>) {
        let Some(present) = self.live.get("metadata").and_then(|metadata| metadata.get(section)?.as_object()) else {
            let wanted = wanted(marks);
            if !wanted.is_empty() {
                self.set(&["metadata", section], Value::Object(wanted));
            }
            return;
        };
        for (key, value) in marks {
            match (present.get(key), value) {
                (Some(live), Some(value)) if live == value => {}
                (_, Some(value)) => self.set(&["metadata", section, key], json!(value)),
                (Some(_), None) => self.remove(&["metadata", section, key]),
                (None, None) => {}
            }
        }
    }

    /// The edit, unless there is nothing to do.
    pub(super) fn finish(mut self, kind: ObjectKind, key: impl FnOnce() -> ObjectKey) -> Option<Edit> {
        let meant = self.meant.take()?;
        let identity = [self.test_of(&["metadata", "uid"]), self.test_of(&["metadata", "resourceVersion"])];
        let patch = Patch(identity.into_iter().chain(self.tests).chain(self.edits).collect());
        Some(Edit { kind, key: key(), change: Change::Patch { patch, meant } })
    }
}

/// What a value holds in a place.
fn member<'v>(value: &'v Value, token: &str) -> Option<&'v Value> {
    match value {
        Value::Object(map) => map.get(token),
        Value::Array(list) => list.get(token.parse::<usize>().ok()?),
        _ => None,
    }
}

/// The edit that creates an object with these marks.
pub(super) fn created(kind: ObjectKind, key: ObjectKey, mut object: Value, marks: &Marks) -> Edit {
    let labels = wanted(marks.labels.iter().map(|(key, value)| (key.as_str(), Some(value.as_str()))));
    let annotations = wanted(marks.annotations.iter().map(|(key, value)| (key.as_str(), value.as_deref())));
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for (section, wanted) in [("labels", labels), ("annotations", annotations)] {
            if !wanted.is_empty() {
                metadata.insert(section.to_owned(), Value::Object(wanted));
            }
        }
    }
    Edit { kind, key, change: Change::Create(object) }
}

fn wanted<'m>(marks: impl Iterator<Item = (&'m str, Option<&'m str>)>) -> Map<String, Value> {
    marks.filter_map(|(key, value)| Some((key.to_owned(), json!(value?)))).collect()
}

fn pointer(path: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(path.iter().copied())
}
