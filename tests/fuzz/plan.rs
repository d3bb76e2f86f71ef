//! Plan files: nothing that was not meant is accepted, and what is accepted reads back as itself.

use serde_json::{Value, json};
use tidegate::plan::{Document, ParsedFile, Plan, Severity, parse_file, render, to_yaml};
use tidegate::reconcile::inspect::judge;

use crate::run::{Target, fuzz, no_reshape};

const PATH: &str = "plans/web.yaml";
/// Findings beyond this say nothing new to anybody.
const OUTPUT_PER_FINDING_MAX: usize = 64 * 1024;

#[test]
fn plan_files_are_read_or_refused() {
    fuzz(&Target {
        name: "plan",
        words: &[
            "apiVersion: tidegate.dev/v1alpha1",
            "kind: CanaryPlan",
            "metadata:",
            "spec:",
            "traffic: {v1: 100}",
            "steps:",
            "versions:",
            "hold: 1h",
            "weight: 50",
            "*a",
            "&a ",
            "<<: *a",
            "!!str ",
            "!tag ",
            "---\n",
            "...\n",
            "? ",
            "|\n",
            ">-\n",
            "%YAML 1.1\n",
            "\u{feff}",
            "\u{202e}",
            "null",
            "~",
            "yes",
            ".inf",
            "1:30",
            "0o17",
            "2026-11-21",
            "match:",
            "regex: (a*)*",
            "routes:",
            "pins:",
            "http:",
            "from:",
            "settle:",
            "trafficPolicy:",
            "takeOwnership: true",
            "gateways: [mesh]",
            "hosts: [a.b.c]",
            "labels: {version: v1}",
            "kind: Gateway",
            "kind: List",
            "# ",
        ],
        reshape: no_reshape,
        check,
    });
}

fn check(input: &[u8]) -> String {
    let file = parse_file(PATH, input);
    assert_eq!(parse_file(PATH, input), file, "the same bytes read twice");
    let text = std::str::from_utf8(input).ok();
    for finding in &file.findings {
        if let Some(place) = &finding.place {
            assert!(place.start <= place.end && place.end <= input.len(), "{finding:?}");
        }
    }
    for finding in file.findings.iter().take(3) {
        let shown = render(finding, text, false);
        assert!(shown.len() <= OUTPUT_PER_FINDING_MAX, "{} bytes for {}", shown.len(), finding.code);
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    }
    let documents: Vec<&Document> = file.documents.iter().map(|(document, _)| document).collect();
    for document in &documents {
        if let Document::Plan(plan) = document {
            holds(plan);
        }
    }
    if let (Some(text), false, false) = (text, file.has_errors(), documents.is_empty()) {
        // What must never get in, into a file that is good otherwise.
        for bad in
            ["\nkind: CanaryPlan\nkind: CanaryPlan\n", "\nspec: {traffic: {v1: 1, v1: 99}}\n", "\na: &a [1]\nb: *a\n"]
        {
            let with = parse_file(PATH, format!("{text}{bad}").as_bytes());
            assert!(with.has_errors(), "{bad:?} is accepted at the end of\n{text}");
        }
    }
    if let Some(text) = text {
        judged(text, &file);
    }
    way(&file)
}

/// The rules of Istio take documents out for errors that lie in the text, and nothing else.
fn judged(text: &str, file: &ParsedFile) {
    let mut judged = file.clone();
    judge(text, &mut judged);
    let errors = |file: &ParsedFile| file.findings.iter().filter(|found| found.severity == Severity::Error).count();
    assert!(judged.documents.iter().all(|document| file.documents.contains(document)));
    assert_eq!(judged.documents.len() < file.documents.len(), errors(&judged) > errors(file), "{:?}", judged.findings);
    for finding in judged.findings.iter().skip(file.findings.len()) {
        let place = finding.place.as_ref().unwrap();
        assert!(text.get(place.start..place.end).is_some(), "{finding:?}");
    }
}

/// What is true of every plan that was accepted.
fn holds(plan: &Plan) {
    let total: u32 = plan.traffic.iter().map(|(_, weight)| u32::from(weight)).sum();
    assert_eq!(total, 100);
    let document = json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "CanaryPlan",
        "metadata": {"name": plan.key.name, "namespace": plan.key.namespace}, "spec": plan.written()});
    let yaml = to_yaml(&document);
    let again = parse_file(PATH, yaml.as_bytes());
    let [(Document::Plan(read), _)] = &again.documents[..] else { panic!("{:?}\n{yaml}", again.findings) };
    assert_eq!(read.written(), plan.written());
}

fn way(file: &ParsedFile) -> String {
    let mut codes: Vec<&str> = file.findings.iter().map(|finding| finding.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let kinds: Vec<Value> =
        file.documents.iter().take(4).map(|(document, _)| json!(matches!(document, Document::Plan(_)))).collect();
    format!("{codes:?} {kinds:?}")
}
