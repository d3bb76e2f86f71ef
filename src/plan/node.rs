//! A document as read: values in document order, each with its bytes in the file.

use std::ops::Range;

use serde_json::{Map, Value};

/// A value and the bytes of the file that it stands in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) content: Content,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    Map(Vec<Entry>),
    List(Vec<Node>),
    Scalar(Value),
}

/// A key of a map with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) node: Node,
}

impl Node {
    /// The entry of that key, where this is a map that has it.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value of that key, where this is a map that has it; `null` counts as absent, as Kubernetes has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node).filter(|node| !node.is_null())
    }

    /// The entries of a map; none where this is no map.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The entries of a map whose values are not `null`.
    pub(crate) fn set_entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries().iter().filter(|entry| !entry.node.is_null())
    }

    /// The items of a list; none where this is no list.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a string.
    pub(crate) fn text(&self) -> Option<&str> {
        self.scalar()?.as_str()
    }

    /// The number, where it is a whole one of at most 64 bits.
    pub(crate) fn whole(&self) -> Option<i64> {
        self.scalar()?.as_i64()
    }

    /// The scalar.
    pub(crate) fn scalar(&self) -> Option<&Value> {
        match &self.content {
            Content::Scalar(value) => Some(value),
            _ => None,
        }
    }

    /// Whether this is `null` or nothing at all.
    pub(crate) fn is_null(&self) -> bool {
        self.content == Content::Scalar(Value::Null)
    }

    /// Whether this is a map.
    pub(crate) fn is_map(&self) -> bool {
        matches!(self.content, Content::Map(_))
    }

    /// The whole as JSON.
    pub(crate) fn value(&self) -> Value {
        match &self.content {
            Content::Map(_) => Value::Object(self.map()),
            Content::List(items) => items.iter().map(Self::value).collect(),
            Content::Scalar(value) => value.clone(),
        }
    }

    /// The map as JSON; empty where this is none.
    pub(crate) fn map(&self) -> Map<String, Value> {
        self.entries().iter().map(|entry| (entry.key.clone(), entry.node.value())).collect()
    }

    /// What this is, for a sentence.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.content {
            Content::Map(_) => "a map",
            Content::List(_) => "a list",
            Content::Scalar(Value::Null) => "nothing",
            Content::Scalar(Value::Bool(_)) => "a boolean",
            Content::Scalar(Value::Number(_)) => "a number",
            Content::Scalar(_) => "text",
        }
    }
}
