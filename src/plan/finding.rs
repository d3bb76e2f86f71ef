//! What is wrong with a plan file, where, and what to write instead.

use super::{PlainObject, Plan, PlanKey};
use std::{collections::BTreeMap, ops::Range, sync::Arc};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document is accepted.
    Warning,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file's path in the repository.
    pub file: String,
    /// The first byte of the part that is meant.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A stable code.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence.
    pub message: String,
    /// Where; none where it concerns a whole repository.
    pub place: Option<Place>,
    /// What to write instead.
    pub hints: Vec<String>,
}

/// One document that is valid.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// A canary plan.
    Plan(Arc<Plan>),
    /// A plain Istio object.
    Object(Arc<PlainObject>),
}

/// What one file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParsedFile {
    /// The valid documents, each with the place of its name.
    pub documents: Vec<(Document, Place)>,
    /// Where the valid plans choose clusters: the place of each name, or of the labels.
    pub chosen: BTreeMap<PlanKey, Vec<Place>>,
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
    /// The plans whose names could be read, but which have errors.
    pub broken: Vec<PlanKey>,
    /// The plans that findings are about, each with the bytes of its document.
    pub noted: Vec<(PlanKey, Range<usize>)>,
}

impl ParsedFile {
    /// The findings about a plan.
    pub fn findings_of(&self, key: &PlanKey) -> impl Iterator<Item = &Finding> {
        let within = move |finding: &&Finding| {
            let start = finding.place.as_ref().map_or(0, |place| place.start);
            self.noted.iter().any(|(noted, bytes)| noted == key && bytes.contains(&start))
        };
        self.findings.iter().filter(within)
    }

    /// Whether some document of the file is refused.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}
