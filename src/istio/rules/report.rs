//! Gathers what the rules find in one object.

use super::at::At;

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// A stable code, one of [`crate::plan::CODES`].
    pub code: &'static str,
    /// Where, as a JSON pointer into the object.
    pub pointer: String,
    /// One sentence.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

/// What was found, in order.
#[derive(Default)]
pub(super) struct Report {
    found: Vec<Found>,
}

impl Report {
    pub(super) fn add(&mut self, code: &'static str, at: &At<'_>, message: impl Into<String>, hint: impl Into<String>) {
        self.found.push(Found { code, pointer: at.pointer(), message: message.into(), hint: hint.into() });
    }

    pub(super) fn into_found(self) -> Vec<Found> {
        self.found
    }
}
