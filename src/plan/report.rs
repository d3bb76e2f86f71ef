//! Gathers the findings of one file.

use std::ops::Range;

use super::{Finding, Place, Severity, codes};

/// The findings of one file, in the order in which they were made.
pub(crate) struct Report<'a> {
    file: &'a str,
    findings: Vec<Finding>,
    /// Counted, as each document asks: a file of many bad ones would take time that grows with its square.
    errors: usize,
}

impl<'a> Report<'a> {
    pub(crate) fn new(file: &'a str) -> Self {
        Self { file, findings: Vec::new(), errors: 0 }
    }

    /// Adds a finding; its severity is that of its code.
    pub(crate) fn add(&mut self, code: &'static str, at: &Range<usize>, message: impl Into<String>) {
        self.push(code, at, message.into(), Vec::new());
    }

    /// Adds a finding that says what to write instead.
    pub(crate) fn hint(
        &mut self,
        code: &'static str,
        at: &Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(code, at, message.into(), vec![hint.into()]);
    }

    /// Adds a finding about a word that is none of `known`, with the nearest of them as hint.
    pub(crate) fn unknown<'k>(
        &mut self,
        code: &'static str,
        at: &Range<usize>,
        message: impl Into<String>,
        word: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) {
        let known: Vec<&str> = known.into_iter().collect();
        let hint = match nearest(word, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => return self.add(code, at, message),
            None => format!("known here: {}", known.join(", ")),
        };
        self.hint(code, at, message, hint);
    }

    /// The place of these bytes.
    pub(crate) fn place(&self, at: &Range<usize>) -> Place {
        Place { file: self.file.to_owned(), start: at.start, end: at.end }
    }

    /// How many findings there are.
    pub(crate) fn count(&self) -> usize {
        self.findings.len()
    }

    /// How many errors there are.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// The findings in the order of their places.
    pub(crate) fn into_findings(mut self) -> Vec<Finding> {
        self.findings.sort_by(|one, two| one.place.cmp(&two.place));
        self.findings
    }

    fn push(&mut self, code: &'static str, at: &Range<usize>, message: String, hints: Vec<String>) {
        let place = Some(self.place(at));
        let severity = codes::severity(code);
        self.errors += usize::from(severity == Severity::Error);
        self.findings.push(Finding { code, severity, message, place, hints });
    }
}

/// The known word that was probably meant.
fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // Longer words are no slip of the pen, and the distance takes time that grows with their length.
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_lowercase();
    let distances = known.iter().map(|known| (strsim::damerau_levenshtein(&lower, &known.to_lowercase()), *known));
    let (distance, near) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1.max(near.chars().count() / 3)).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_near() {
        assert_eq!(nearest("wieght", &["name", "weight"]), Some("weight"));
        assert_eq!(nearest("Versions", &["version", "versions"]), Some("versions"));
        assert_eq!(nearest("colour", &["name", "weight"]), None);
    }
}
