//! Faults that a review found, each as the history that shows it.

use serde_json::json;

use super::{
    draft::{STEPS, on_v1, plan, settled_on_v1, to_v2, version},
    simulation::Sim,
};
use crate::{
    cluster::Outcome,
    istio::ObjectKind,
    plan::{ObjectKey, VersionName},
    reconcile::News,
    rollout::{Cause, Elsewhere, JOURNAL, Journal, Phase, Reason, What},
};

/// At 25, on the way to v2.
fn at_25() -> Sim {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("6m");
    assert_eq!(sim.weights(), "v1=75 v2=25");
    sim.trace();
    sim
}

fn refused() -> Outcome {
    Outcome::Rejected { message: "denied by a policy".into(), code: 403 }
}

fn relabelled(label: &str) -> Vec<crate::plan::Version> {
    vec![version("v1", "v1"), version("v2", label), version("v3", "v3")]
}

fn subset(sim: &Sim, place: usize) -> serde_json::Value {
    sim.api.objects[&ObjectKind::DestinationRule]["spec"]["subsets"][place].clone()
}

#[test]
fn law_03_a_revert_that_also_takes_labels_back_is_at_once() {
    let mut sim = settled_on_v1();
    sim.push(to_v2().versions(&relabelled("new"))).pass("6m");
    assert_eq!(sim.weights(), "v1=75 v2=25");
    sim.trace();
    sim.push(on_v1());
    assert_eq!(sim.trace(), ["v1=100"]);
    assert_eq!(subset(&sim, 1)["labels"], json!({"version": "new"}), "requests on their way still find it");
    sim.pass("10s");
    assert_eq!(subset(&sim, 1)["labels"], json!({"version": "v2"}), "once drained it is what the plan says");
}

#[test]
fn another_build_in_mid_walk_is_another_version_and_starts_from_the_way_back() {
    let mut sim = at_25();
    sim.push(to_v2().build("v2", "2")).pass("3s");
    assert_eq!(sim.trace(), ["v1=100", "v1=90 v2=10"]);
    let mut sim = at_25();
    sim.push(to_v2().versions(&relabelled("fixed"))).pass("10s");
    assert_eq!(sim.trace(), ["v1=100", "v1=90 v2=10"]);
    assert_eq!(subset(&sim, 1)["labels"], json!({"version": "fixed"}));
}

#[test]
fn content_that_failed_before_does_not_leave_the_open_walk_where_it_stands() {
    let mut sim = at_25();
    sim.ready("v2", 0).pass("11s");
    assert_eq!(sim.weights(), "v1=100");
    sim.ready("v2", 2).push(plan("v3=100").steps(STEPS)).pass("6m");
    assert_eq!(sim.weights(), "v1=75 v3=25");
    sim.trace();
    sim.push(to_v2());
    assert_eq!(sim.trace(), ["v1=100"]);
    assert_eq!(sim.journal().phase, Phase::WentBack { cause: Cause::FailedBefore });
}

#[test]
fn the_way_back_of_a_retreat_is_never_what_was_retreated_from() {
    let mut sim = Sim::new();
    sim.push(plan("v1=100")).pass("1m").push(plan("v1=50 v2=50")).pass("1m");
    assert_eq!(sim.journal().phase, Phase::Settled);
    sim.push(plan("v1=90 v2=10").timeout("5s").with(|plan| plan.settle = "1h".parse().unwrap()));
    assert_eq!((sim.weights().as_str(), sim.journal().phase), ("v1=90 v2=10", Phase::Target));
    sim.edit(ObjectKind::VirtualService, |object| {
        object["metadata"]["annotations"]["tidegate.dev/stop"] = json!("the timeout is too short");
    });
    assert_eq!(sim.weights(), "v1=100");
}

#[test]
fn a_policy_of_a_running_version_settles_only_once_its_rule_stands() {
    let mut sim = settled_on_v1();
    let tls = |plan: &mut crate::plan::Plan| {
        plan.routing.versions[0].traffic_policy = Some(json!({"tls": {"mode": "ISTIO_MUTUAL"}}));
        plan.settle = "0s".parse().unwrap();
    };
    sim.refuse.push_back(Outcome::Unknown { message: "torn".into() });
    sim.push(on_v1().with(tls));
    assert_ne!(sim.reason(), Reason::Settled, "the rule was not written");
    sim.pass("1s");
    assert!(subset(&sim, 0)["trafficPolicy"].is_object());
    assert_ne!(sim.journal().phase, Phase::Settled, "the proxies do not have it yet");
    sim.pass("5s");
    assert_eq!(sim.journal().phase, Phase::Settled);
}

#[test]
fn a_destination_rule_of_somebody_else_is_a_finding_and_is_not_touched() {
    let mut sim = Sim::new();
    let theirs = json!({
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"host": "web", "subsets": [{"name": "v1", "labels": {"app": "theirs"}}]},
    });
    sim.api.put(ObjectKind::DestinationRule, theirs);
    sim.crash().push(on_v1()).pass("1m");
    assert_eq!((sim.patches, sim.reason().name()), (0, "OwnedBySomebodyElse"));
    assert!(sim.reason().to_string().starts_with("DestinationRule shop/web"), "{}", sim.reason());
    sim.push(on_v1().with(|plan| plan.take_ownership = true)).pass("1m");
    assert_eq!((sim.patches, sim.reason().name()), (0, "CannotAdopt"), "it would change labels under running traffic");
}

#[test]
fn a_virtual_service_that_somebody_made_anew_is_theirs() {
    let mut sim = settled_on_v1();
    sim.api.objects.remove(&ObjectKind::VirtualService);
    let theirs = crate::istio::virtual_service(&plan("v1=100").0.routing, &super::draft::traffic("v3=100"));
    sim.api.put(ObjectKind::VirtualService, theirs.clone());
    let patches = sim.patches;
    sim.edit(ObjectKind::VirtualService, |_| ()).pass("1m");
    assert_eq!((sim.patches, sim.reason().name(), sim.weights().as_str()), (patches, "OwnedBySomebodyElse", "v3=100"));
}

#[test]
fn a_label_taken_off_by_hand_is_put_back_also_by_another_process() {
    for crash in [false, true] {
        let mut sim = at_25();
        sim.edit(ObjectKind::VirtualService, |object| object["metadata"]["labels"] = json!({}));
        if crash {
            let mut object = serde_json::Value::clone(&sim.api.objects[&ObjectKind::VirtualService]);
            object["metadata"]["labels"] = json!({});
            sim.api.put(ObjectKind::VirtualService, object);
            sim.crash();
        }
        sim.pass("1m");
        let labels = &sim.api.objects[&ObjectKind::VirtualService]["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/managed-by"], json!("tidegate"));
        assert_eq!(sim.trace(), Vec::<String>::new());
    }
}

#[test]
fn a_journal_deleted_or_damaged_by_hand_is_restored_in_every_phase() {
    for seconds in [0, 60, 400, 3_000, 10_000] {
        for damage in [json!(null), json!("{"), json!("")] {
            let mut sim = settled_on_v1();
            sim.push(to_v2()).pass_ms(seconds * 1000);
            let (weights, phase) = (sim.weights(), sim.journal().phase);
            sim.edit(ObjectKind::VirtualService, |object| {
                object["metadata"]["annotations"]["tidegate.dev/journal"] = damage.clone();
            });
            assert_eq!((sim.weights(), sim.journal().phase), (weights, phase));
            sim.pass("2h");
            assert_eq!(sim.weights(), "v2=100");
        }
    }
}

#[test]
fn an_old_copy_of_the_object_applied_again_does_not_turn_the_walk() {
    let mut sim = at_25();
    let old = serde_json::Value::clone(&sim.api.objects[&ObjectKind::VirtualService]);
    sim.ready("v2", 0).pass("11s").ready("v2", 2);
    assert_eq!(sim.trace(), ["v1=100"]);
    sim.edit(ObjectKind::VirtualService, |object| {
        object["spec"] = old["spec"].clone();
        object["metadata"]["annotations"] = old["metadata"]["annotations"].clone();
    });
    sim.pass("1h");
    assert_eq!(sim.weights(), "v1=100");
    assert!(matches!(sim.journal().phase, Phase::WentBack { .. }));
}

#[test]
fn weights_are_not_put_back_on_a_version_that_is_gone() {
    let mut sim = settled_on_v1();
    sim.ready("v1", 0).set_weights("v2=100").pass("1h");
    assert_eq!((sim.weights().as_str(), sim.reason().name()), ("v2=100", "CannotServe"));
    sim.ready("v1", 1);
    assert_eq!(sim.weights(), "v1=100");
}

#[test]
fn a_target_whose_version_has_just_gone_does_not_settle() {
    let mut sim = Sim::new();
    sim.push(plan("v1=100")).pass("1m");
    sim.push(plan("v2=100").with(|plan| plan.settle = "1m".parse().unwrap())).pass("58s");
    sim.ready("v2", 0).pass("5s");
    assert_ne!(sim.journal().phase, Phase::Settled, "{}", sim.reason());
    sim.pass("10s");
    assert_eq!(sim.weights(), "v1=100");
}

#[test]
fn a_short_want_of_endpoints_after_a_long_pause_has_the_whole_deadline() {
    let mut sim = settled_on_v1();
    sim.push(to_v2().with(|plan| plan.pause = true)).pass("1m").push(to_v2()).pass("1m");
    sim.push(to_v2().with(|plan| plan.pause = true)).pass("1h");
    sim.around.ready.insert("v2".into(), Some(0));
    sim.push(to_v2()).pass("3s");
    assert!(!matches!(sim.journal().phase, Phase::WentBack { .. }), "{}", sim.reason());
}

#[test]
fn a_refused_first_write_is_tried_again_and_fails_nothing() {
    let mut sim = Sim::new();
    sim.refuse.extend([refused(), refused(), refused()]);
    sim.push(to_v2());
    assert_eq!(sim.reason(), Reason::Rejected { message: "denied by a policy".into() });
    sim.pass("1m");
    assert!(sim.journal().failed.is_empty());
    assert_eq!(sim.weights(), "v1=90 v2=10");
}

#[test]
fn a_refused_way_back_says_so_and_is_tried_in_measure() {
    let mut sim = at_25();
    sim.refuse.extend(std::iter::repeat_n(refused(), 12));
    let before = sim.patches;
    sim.push(on_v1());
    assert_eq!(sim.reason().name(), "Rejected");
    sim.pass("20s");
    assert!(sim.patches - before <= 9, "{} writes in 20 s", sim.patches - before);
    sim.pass("10m");
    assert_eq!((sim.weights().as_str(), sim.reason()), ("v1=100", Reason::Settled));
}

#[test]
fn a_storm_of_newer_objects_is_met_with_pauses() {
    let mut sim = at_25();
    sim.refuse.extend(std::iter::repeat_n(Outcome::Stale, 20));
    let before = sim.patches;
    sim.push(on_v1());
    assert!(sim.patches - before <= 5, "{} writes at once", sim.patches - before);
    sim.pass("20m");
    assert_eq!(sim.weights(), "v1=100");
}

#[test]
fn a_revert_after_lost_answers_does_not_wait_for_their_pause() {
    let mut sim = at_25();
    sim.refuse.extend(std::iter::repeat_n(Outcome::Unknown { message: "torn".into() }, 8));
    sim.pass("12m");
    sim.refuse.clear();
    sim.push(on_v1());
    assert_eq!(sim.weights(), "v1=100");
}

#[test]
fn what_was_not_sent_is_looked_at_and_sent_again() {
    let mut sim = settled_on_v1();
    let silent = Outcome::Unsent { message: "no answer in 15s".into() };
    sim.refuse.extend(std::iter::repeat_n(silent, 3));
    sim.push(to_v2());
    assert_eq!(sim.weights(), "v1=100");
    sim.pass("10s");
    assert_ne!(sim.weights(), "v1=100");
}

#[test]
fn what_tidegate_decided_is_not_called_drift() {
    let mut sim = settled_on_v1();
    sim.push(to_v2().versions(&[version("v2", "v2")])).pass("2h");
    assert_eq!(sim.subsets(), "v2");
    sim.push(plan("v2=100").steps(STEPS).versions(&[version("v2", "v2"), version("v4", "v4")])).pass("1h");
    assert!(!sim.news.iter().any(|news| matches!(news, News::DriftCorrected(_))), "{:?}", sim.news);
    sim.edit(ObjectKind::DestinationRule, |object| object["spec"]["subsets"] = json!([]));
    sim.set_weights("v4=100").pass("5s");
    assert!(sim.news.contains(&News::DriftCorrected(ObjectKind::VirtualService)));
}

#[test]
fn a_plan_whose_journal_does_not_fit_is_refused_and_the_way_back_stays_open() {
    let mut sim = at_25();
    let mut noise = 1_u64;
    let mut word = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{noise:016x}")
    };
    let header: String = (0..12_000).map(|_| word()).collect();
    let mut huge = to_v2();
    huge.0.routing.routes[0].http.insert("headers".into(), json!({"request": {"set": {"x": header}}}));
    sim.push(huge).pass("1h");
    assert_eq!((sim.weights().as_str(), sim.reason().name()), ("v1=75 v2=25", "JournalTooLarge"));
    sim.ready("v2", 0).pass("11s");
    assert_eq!(sim.weights(), "v1=100");
}

#[test]
fn what_was_noted_of_pods_in_other_clusters_keeps_no_plan_out() {
    let mut sim = settled_on_v1();
    let mut noise = 1_u64;
    let mut word = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{noise:016x}")
    };
    let noted: Elsewhere = [(VersionName::new("v1"), (0..3_500).map(|_| word()).collect())].into();
    sim.edit(ObjectKind::VirtualService, |object| {
        let journal = Journal { elsewhere: noted.clone(), ..Journal::on(object).unwrap().unwrap() };
        object["metadata"]["annotations"][JOURNAL] = journal.encode().unwrap().into();
    });
    let header: String = (0..4_000).map(|_| word()).collect();
    let mut long = to_v2();
    long.0.routing.routes[0].http.insert("headers".into(), json!({"request": {"set": {"x": header}}}));
    sim.push(long).pass("1m");
    assert_eq!((sim.weights().as_str(), sim.reason().name()), ("v1=90 v2=10", "Hold"));
    let with_it = Journal { elsewhere: noted, ..sim.journal() };
    assert!(with_it.encode().is_err(), "there is no place for both");
}

#[test]
fn a_refused_plan_keeps_nothing_that_is_open_from_failing() {
    let mut sim = at_25();
    sim.push(to_v2().versions(&[version("v1", "other"), version("v2", "v2")]));
    assert_eq!(sim.reason().name(), "Relabelled");
    sim.ready("v2", 0).pass("11s");
    assert_eq!(sim.weights(), "v1=100");
}

#[test]
fn a_commit_that_knows_a_way_out_is_taken_though_the_way_back_cannot_serve() {
    let mut sim = at_25();
    sim.around.ready.insert("v1".into(), Some(0));
    sim.look();
    sim.edit(ObjectKind::VirtualService, |object| {
        object["metadata"]["annotations"]["tidegate.dev/stop"] = json!("bob");
    });
    assert_eq!(sim.reason().name(), "NoWayBack");
    sim.push(plan("v1=75 v2=25").steps(STEPS));
    assert_eq!(sim.journal().plan.traffic, super::draft::traffic("v1=75 v2=25"));
}

#[test]
fn the_stop_annotation_is_heeded_in_every_phase_and_across_a_crash() {
    for seconds in [0, 1, 60, 400, 1_300, 1_510] {
        for crash in [false, true] {
            let mut sim = settled_on_v1();
            sim.push(to_v2()).pass_ms(seconds * 1000);
            sim.edit(ObjectKind::VirtualService, |object| {
                object["metadata"]["annotations"]["tidegate.dev/stop"] = json!("alice");
            });
            if crash {
                sim.crash().settle_now();
            }
            assert_eq!(sim.weights(), "v1=100", "after {seconds} s");
            sim.push(to_v2().build("v2", "fixed")).pass("1d");
            assert_eq!((sim.weights().as_str(), sim.reason().name()), ("v1=100", "Stopped"));
        }
    }
}

#[test]
fn both_objects_deleted_by_hand_come_back_in_every_phase() {
    for seconds in [0, 60, 400, 3_000] {
        for kind in [ObjectKind::VirtualService, ObjectKind::DestinationRule] {
            let mut sim = settled_on_v1();
            sim.push(to_v2()).pass_ms(seconds * 1000);
            let weights = sim.weights();
            sim.delete(kind).pass("3s");
            assert_eq!((sim.weights(), sim.subsets().as_str()), (weights, "v1,v2,v3"));
            sim.pass("2h");
            assert_eq!(sim.weights(), "v2=100");
        }
    }
}

#[test]
fn a_step_of_weight_0_is_walked_once() {
    let mut sim = settled_on_v1();
    let walk = |steps: &str| plan("v2=100").steps(steps).from("v1=100").pin("qa", "v2");
    sim.push(walk("0:5m 10:5m")).pass("1m");
    assert_eq!(sim.journal().phase, Phase::Walking { weight: 0 });
    sim.push(walk("0:5m 20:5m")).pass("4m10s");
    assert_eq!(sim.trace(), ["v1=80 v2=20"], "a new plan does not walk it again, and its time counts on");
    sim.push(walk("0:5m 20:5m 30:1m")).pass("5m10s");
    assert_eq!(sim.trace(), ["v1=70 v2=30"]);
}

#[test]
fn a_claim_blocks_a_raise_and_never_a_way_back() {
    let mut sim = at_25();
    sim.around.claims = vec![ObjectKey { namespace: "shop".into(), name: "other".into() }];
    sim.pass("1h");
    assert_eq!((sim.weights().as_str(), sim.reason().name()), ("v1=75 v2=25", "HostClaimed"));
    sim.push(on_v1());
    assert_eq!(sim.weights(), "v1=100");
}

#[test]
fn proof_falls_with_a_failure_and_the_last_settled_state_stays() {
    let mut sim = Sim::new();
    sim.push(plan("v1=100")).pass("1m").push(plan("v1=90 v2=10")).pass("1m");
    sim.push(plan("v2=100").steps(STEPS)).pass("1m");
    assert_eq!(sim.weights(), "v1=75 v2=25");
    sim.ready("v2", 0).pass("11s");
    assert_eq!(sim.weights(), "v1=100", "to the settled state with the least of it, not to 10");
    let journal = sim.journal();
    assert_eq!(journal.proof[&VersionName::new("v2")].weight, 0);
    assert_eq!(journal.settled.len(), 1);
}

#[test]
fn commits_of_one_instant_are_no_old_journals() {
    let mut sim = settled_on_v1();
    for target in ["v2=100", "v3=100", "v2=100", "v1=100"] {
        sim.push(plan(target).steps(STEPS).from("v1=100"));
    }
    let restored = sim.journal().transitions.iter().filter(|transition| transition.what == What::Restored).count();
    assert_eq!((sim.weights().as_str(), restored), ("v1=100", 0));
}

#[test]
fn a_missing_right_holds_and_says_nothing_about_the_content() {
    let mut sim = Sim::new();
    sim.push(plan("v1=100").steps("10:5m").from("v1=100")).pass("1m");
    let message = "virtualservices \"web\" is forbidden: User \"tidegate\" cannot patch resource".to_owned();
    sim.refuse.extend(std::iter::repeat_n(Outcome::Rejected { message, code: 403 }, 3));
    sim.push(plan("v2=100").steps("10:5m").from("v1=100"));
    assert!(matches!(sim.reason(), Reason::Rejected { .. }), "{}", sim.reason());
    sim.pass("1m");
    assert_eq!(sim.weights(), "v1=90 v2=10", "it goes on once the right is there");
}

#[test]
fn a_traffic_policy_that_a_revert_takes_back_goes_from_the_rule() {
    let mut sim = Sim::new();
    let tls = json!({"tls": {"mode": "ISTIO_MUTUAL"}});
    let with_policy = || plan("v1=100").with(|plan| plan.routing.traffic_policy = Some(tls.clone()));
    sim.push(plan("v1=100")).pass("1m").push(with_policy()).pass("1m");
    assert_eq!(sim.api.objects[&ObjectKind::DestinationRule]["spec"]["trafficPolicy"], tls);
    sim.push(plan("v1=100")).pass("1m");
    assert!(sim.api.objects[&ObjectKind::DestinationRule]["spec"]["trafficPolicy"].is_null());
    assert_eq!(sim.journal().phase, Phase::Settled);
}

#[test]
fn a_first_state_is_a_raise_and_waits_for_what_every_raise_waits_for() {
    let mut sim = Sim::new();
    sim.push(plan("v1=100").with(|plan| plan.pause = true));
    assert_eq!((sim.reason(), sim.patches), (Reason::Paused, 0));
    sim.around.offset_ms = Some(9_000);
    sim.push(plan("v1=100"));
    assert_eq!((sim.reason(), sim.patches), (Reason::ClockSkew { offset_ms: 9_000 }, 0));
    sim.around.offset_ms = Some(0);
    sim.look().pass("2s");
    assert_eq!(sim.weights(), "v1=100");
}

#[test]
fn a_settled_route_rests_and_still_knows_what_it_was_when_its_objects_go() {
    let mut sim = settled_on_v1();
    assert!(sim.is_at_rest());
    let journal = sim.journal();
    sim.delete(ObjectKind::VirtualService).delete(ObjectKind::DestinationRule).pass("10s");
    assert_eq!(sim.weights(), "v1=100");
    assert_eq!(sim.journal().proof, journal.proof);
    assert!(sim.is_at_rest());
    sim.push(to_v2()).pass("1s");
    assert!(!sim.is_at_rest(), "a walk waits for time");
}
