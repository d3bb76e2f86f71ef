//! What the CanaryPlan resource of a plan says, for every reason that it may have.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    super::{PlanReport, Reached, resource::of},
    draft,
};
use crate::{
    cluster::CanaryPlan,
    plan::{Finding, ObjectKey, Place, PlanKey, Revision, Severity},
    rollout::{Owner, Reason},
};

fn report(reason: Reason) -> PlanReport {
    let key = PlanKey { namespace: "shop".into(), name: "web".into() };
    let revision = Revision { branch: "main".into(), commit: "0".repeat(40) };
    let reached = BTreeMap::from([("east".to_owned(), Reached::default())]);
    PlanReport {
        owner: Some(Owner { repository: "plans".into(), plan: key }),
        route: ObjectKey { namespace: "shop".into(), name: "web".into() },
        plan: Some((std::sync::Arc::new(draft::to_v2().0), revision)),
        newer_invalid: false,
        reason: Some(reason),
        restoring: None,
        next: None,
        reached,
    }
}

fn shows(report: &PlanReport) -> CanaryPlan {
    of(report, "east", "main", std::iter::empty()).unwrap()
}

fn holding(plan: &CanaryPlan) -> [bool; 3] {
    plan.conditions.each_ref().map(|condition| condition.holds)
}

#[test]
fn one_condition_holds_whatever_the_reason() {
    let at = Timestamp::UNIX_EPOCH;
    for (reason, expected) in [
        (Reason::Hold { until: at }, [false, true, false]),
        (Reason::Paused, [false, true, false]),
        (Reason::Away { cluster: "east".into(), since: at }, [false, true, false]),
        (Reason::Suspended, [false, false, true]),
        (Reason::Rejected { message: "no".into() }, [false, false, true]),
        (Reason::Refused { why: String::new() }, [false, false, true]),
    ] {
        let plan = shows(&report(reason.clone()));
        assert_eq!(holding(&plan), expected, "{reason}");
        assert!(plan.conditions.iter().all(|condition| condition.reason == reason.name()));
    }
}

#[test]
fn a_decision_whose_writes_are_on_their_way_is_not_ready() {
    let plan = shows(&report(Reason::Settled));
    assert_eq!((holding(&plan), plan.conditions[0].reason), ([false, true, false], "Writing"));
}

#[test]
fn a_newer_version_that_is_refused_stalls_what_is_settled() {
    let plan = shows(&PlanReport { newer_invalid: true, ..report(Reason::Settled) });
    assert_eq!((holding(&plan), plan.conditions[0].reason), ([false, false, true], "NewerPlanInvalid"));
}

#[test]
fn words_of_others_are_cleaned_and_findings_are_few() {
    let hostile = "\u{1b}[31m".repeat(10_000);
    let finding = Finding {
        code: "PL01",
        severity: Severity::Error,
        message: hostile.clone(),
        place: Some(Place { file: hostile.clone(), start: 0, end: 0 }),
        hints: vec![hostile.clone()],
    };
    let findings = vec![finding; 1_000];
    let plan = of(&report(Reason::Stopped { text: hostile }), "east", "main", findings.iter()).unwrap();
    let text = format!("{}{:?}", Value::Object(plan.status.clone()), plan.conditions);
    assert!(!text.contains('\u{1b}') && text.len() < 300_000, "{}", text.len());
    assert_eq!(plan.status["findings"].as_array().unwrap().len(), 20);
}

#[test]
fn clusters_that_differ_are_told_apart() {
    let mut report = report(Reason::Hold { until: Timestamp::UNIX_EPOCH });
    let live = |text: &str| Reached { live: Some(draft::traffic(text)), ..Reached::default() };
    report.reached = BTreeMap::from([("east".to_owned(), live("v1=90 v2=10")), ("west".to_owned(), live("v1=100"))]);
    assert_eq!(shows(&report).status["shown"]["live"], "east: v1=90 v2=10; west: v1=100");
}
