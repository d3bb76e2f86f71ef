//! Cuts a file into its documents, each with the separator that it starts with.

use std::ops::Range;

use serde_json::Value;

use crate::plan::{Digest, PlanKey, fields, node::Node, read, yaml};

/// One document of a file.
pub(super) struct Segment {
    /// Its bytes, from its separator to the next one's.
    pub(super) bytes: Range<usize>,
    /// What it says: nothing, something, or something that is no YAML.
    pub(super) node: Result<Option<Node>, ()>,
}

impl Segment {
    /// The plan whose document this is.
    pub(super) fn key(&self) -> Option<PlanKey> {
        self.node.as_ref().ok().and_then(Option::as_ref).and_then(read::plan_key)
    }

    /// Whether this is no YAML and mentions what the plan's document has to.
    pub(super) fn may_be(&self, text: &str, key: &PlanKey) -> bool {
        let part = text.get(self.bytes.clone()).unwrap_or_default();
        self.node.is_err() && part.contains(&key.name) && part.contains(fields::KIND)
    }

    /// What it says, by its canonical form.
    pub(super) fn digest(&self) -> Digest {
        Digest::of(&self.value())
    }

    fn value(&self) -> Value {
        match &self.node {
            Ok(Some(node)) => node.value(),
            _ => Value::Null,
        }
    }
}

/// The documents of a file in order, those that say nothing included.
pub(super) fn segments(text: &str) -> Vec<Segment> {
    let documents = yaml::documents(text).into_iter();
    let segment = |(start, part): (usize, &str)| Segment {
        bytes: start..start + part.len(),
        node: yaml::parse(start, part).map_err(drop),
    };
    documents.map(segment).collect()
}

/// What the documents of a file say, in order, without those that say nothing; what is no YAML stands for itself.
pub(super) fn says(text: &str) -> Vec<Value> {
    let said = segments(text).into_iter().filter_map(|segment| match &segment.node {
        Ok(None) => None,
        Ok(Some(node)) => Some(node.value()),
        Err(()) => Some(text.get(segment.bytes.clone())?.into()),
    });
    said.collect()
}

/// Which of those a document is that starts at this byte.
pub(super) fn place(text: &str, start: usize) -> usize {
    says(text.get(..start).unwrap_or_default()).len()
}

/// What leads to a document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Separator<'t> {
    /// Nothing: it is the first of its file.
    None,
    /// A line of `---` alone, with its end.
    Bare(&'t str),
    /// A line of `---` with a comment or content, which is a part of the document.
    Rich,
}

/// A document's separator, and the rest of it; a rich separator is left where it is.
pub(super) fn split(part: &str) -> (Separator<'_>, &str) {
    let end = part.find('\n').map_or(part.len(), |end| end + 1);
    let (line, rest) = part.split_at(end);
    match line.strip_prefix("---") {
        Some(after) if after.trim().is_empty() => (Separator::Bare(line), rest),
        Some(after) if after.starts_with(char::is_whitespace) => (Separator::Rich, part),
        _ => (Separator::None, part),
    }
}

/// How the lines of a file end.
pub(super) fn line_end(text: &str) -> &'static str {
    match text.find('\n') {
        Some(end) if text.get(..end).is_some_and(|line| line.ends_with('\r')) => "\r\n",
        _ => "\n",
    }
}
