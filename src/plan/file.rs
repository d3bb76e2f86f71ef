//! Reads a whole file: its limits, its documents, and what is wrong with each.

use super::{Finding, ParsedFile, Place, Severity, codes, read, report::Report, yaml};

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: usize = 256 * 1024;

/// What a file holds: its valid documents, and everything that is wrong with the others. Never fails: what cannot be
/// read is a finding.
pub fn parse_file(path: &str, bytes: &[u8]) -> ParsedFile {
    let mut report = Report::new(path);
    let mut file = ParsedFile::default();
    if let Some(text) = text(bytes, &mut report) {
        for (base, document) in yaml::documents(text) {
            match yaml::parse(base, document) {
                Ok(None) => {}
                Ok(Some(node)) => {
                    let count = report.count();
                    let key = read::document(&node, &mut report, &mut file);
                    if let Some(key) = key.filter(|_| report.count() > count) {
                        file.noted.push((key, base..base + document.len()));
                    }
                }
                Err(fault) => match fault.hint {
                    Some(hint) => report.hint(codes::FI04, &fault.span, fault.message, hint),
                    None => report.add(codes::FI04, &fault.span, fault.message),
                },
            }
        }
    }
    file.findings = report.into_findings();
    file
}

/// The finding about a file that is not read at all, e.g. because it `is a symbolic link`.
pub fn refused_file(path: &str, why: &str, hint: &str) -> Finding {
    Finding {
        code: codes::FI05,
        severity: Severity::Error,
        message: format!("cannot read {path}: it {why}"),
        place: Some(Place { file: path.to_owned(), start: 0, end: 0 }),
        hints: vec![hint.to_owned()],
    }
}

pub(super) fn text<'b>(bytes: &'b [u8], report: &mut Report<'_>) -> Option<&'b str> {
    if bytes.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes, the limit is {FILE_BYTES_MAX}", bytes.len());
        report.hint(codes::FI01, &(0..0), message, "spread its documents over several files");
        return None;
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        let message = format!("the file is binary: it has a NUL byte at offset {at}, line {}", line(bytes, at));
        report.hint(codes::FI02, &(at..at + 1), message, "save it as UTF-8 text, or move it out of the plans path");
        return None;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let at = error.valid_up_to();
            let message = format!("the file is not UTF-8 at byte offset {at}, line {}", line(bytes, at));
            report.hint(codes::FI03, &(at..at + error.error_len().unwrap_or(1)), message, "save it as UTF-8");
            None
        }
    }
}

/// The line, from 1, that a byte stands in.
fn line(bytes: &[u8], at: usize) -> usize {
    1 + bytes.iter().take(at).filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn only(bytes: &[u8]) -> (&'static str, String, usize) {
        let [finding] = &parse_file("web.yaml", bytes).findings[..] else { panic!("not one finding") };
        (finding.code, finding.message.clone(), finding.place.as_ref().unwrap().start)
    }

    #[test]
    fn what_is_no_text_is_one_finding_with_its_place() {
        assert_eq!(only(&vec![b'#'; FILE_BYTES_MAX + 1]).0, codes::FI01);
        assert_eq!(parse_file("web.yaml", &vec![b'#'; FILE_BYTES_MAX]), ParsedFile::default());
        let (code, message, start) = only(b"a: 1\n\0");
        assert_eq!((code, start), (codes::FI02, 5));
        assert!(message.contains("line 2"), "{message}");
        let (code, message, start) = only(b"a: 1\nb: \xff\n");
        assert_eq!((code, start), (codes::FI03, 8));
        assert!(message.contains("byte offset 8, line 2"), "{message}");
        let refused = refused_file("a.yaml", "is a symbolic link", "commit the file itself");
        assert_eq!(refused.message, "cannot read a.yaml: it is a symbolic link");
    }

    #[test]
    fn findings_are_told_of_the_plan_whose_document_they_are_in() {
        let plan = |name: &str, spec: &str| {
            format!(
                "---\napiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: {name}}}\nspec: {spec}\n"
            )
        };
        let good = "{service: a, versions: {v1: {labels: {v: a}}}, traffic: {v1: 100}}";
        let text = [plan("a", &good.replace("v1: 100", "v1: 90")), plan("b", good), plan("c", "{servcie: c}")].concat();
        let file = parse_file("web.yaml", text.as_bytes());
        let of = |name: &str| {
            let key = super::super::PlanKey { namespace: "default".into(), name: name.into() };
            file.findings_of(&key).map(|finding| finding.code).collect::<Vec<_>>()
        };
        assert_eq!((of("a"), of("b")), (vec![codes::TG05], vec![]));
        assert_eq!(of("c").first(), Some(&codes::PL04));
        assert_eq!(of("a").len() + of("c").len(), file.findings.len());
    }

    proptest! {
        /// No bytes make the reader fail, and every place is one of the file.
        #[test]
        fn any_text_is_read_or_refused_within_its_bytes(
            text in prop::collection::vec("(spec|versions|match|routes|http|[-a-z{}:,\\[\\]&*!|>'\"# é\t]{0,3}|: |\n *|\n---\n)", 0..60)
        ) {
            let text = text.concat();
            for text in [text.clone(), format!("apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nspec:\n  {text}")] {
                for finding in parse_file("web.yaml", text.as_bytes()).findings {
                    let place = finding.place.clone().unwrap();
                    prop_assert!(text.get(place.start..place.end).is_some(), "{:?}", finding);
                    crate::plan::render(&finding, Some(&text), false);
                }
            }
        }
    }
}
