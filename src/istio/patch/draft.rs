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
}

impl<'a> Draft<'a> {
    pub(super) fn new(live: &'a Value) -> Self {
        let mut draft = Self { live, tests: Vec::new(), edits: Vec::new() };
        draft.test(&["metadata", "uid"]);
        draft.test(&["metadata", "resourceVersion"]);
        draft
    }

    /// Tests that the place still holds what it held; a place that held nothing fails at the server.
    pub(super) fn test(&mut self, path: &[&str]) {
        let path = pointer(path);
        let value = self.live.pointer(path.as_str()).cloned().unwrap_or_default();
        self.tests.push(PatchOperation::Test(TestOperation { path, value }));
    }

    /// Puts a value in a place, whether or not there is one.
    pub(super) fn set(&mut self, path: &[&str], value: Value) {
        let path = pointer(path);
        self.edits.push(match self.live.pointer(path.as_str()) {
            Some(_) => PatchOperation::Replace(ReplaceOperation { path, value }),
            None => PatchOperation::Add(AddOperation { path, value }),
        });
    }

    /// Removes what is in a place.
    pub(super) fn remove(&mut self, path: &[&str]) {
        self.edits.push(PatchOperation::Remove(RemoveOperation { path: pointer(path) }));
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
    pub(super) fn finish(self, kind: ObjectKind, key: ObjectKey) -> Option<Edit> {
        if self.edits.is_empty() {
            return None;
        }
        let mut meant = self.live.clone();
        // It fails only on an object without metadata, which the test of its uid refuses at the server.
        let _ = json_patch::patch(&mut meant, &self.edits);
        let patch = Patch(self.tests.into_iter().chain(self.edits).collect());
        Some(Edit { kind, key, change: Change::Patch { patch, meant } })
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
