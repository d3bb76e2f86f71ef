//! Histories of commits and hands, and the weights that a watch would see for each.

use serde_json::json;

use super::{
    draft::{STEPS, on_v1, plan, settled_on_v1, to_v2, version},
    simulation::Sim,
};
use crate::{
    istio::ObjectKind,
    plan::VersionName,
    rollout::{Cause, Phase, Reason},
};

fn proven(sim: &Sim, name: &str) -> u8 {
    sim.journal().proof.get(&VersionName::new(name)).map_or(0, |proof| proof.weight)
}

#[test]
fn a_walk_passes_every_step_and_settles() {
    let mut sim = settled_on_v1();
    sim.push(to_v2());
    assert_eq!(sim.trace(), ["v1=90 v2=10"]);
    sim.pass("5m");
    assert_eq!(sim.weights(), "v1=90 v2=10", "the hold counts from convergence, not from the write");
    sim.pass("2s");
    assert_eq!(sim.trace(), ["v1=75 v2=25"]);
    sim.pass("1h");
    assert_eq!(sim.trace(), ["v1=50 v2=50", "v2=100"]);
    assert_eq!((sim.journal().phase, proven(&sim, "v2"), proven(&sim, "v1")), (Phase::Settled, 100, 100));
}

#[test]
fn a_step_costs_one_patch_for_weights_and_one_for_convergence() {
    let mut sim = settled_on_v1();
    let before = sim.news.len();
    sim.push(to_v2());
    assert_eq!(sim.news.len(), before + 1, "and one piece of news: {:?}", sim.news);
    let before = (sim.patches, sim.news.len());
    sim.pass("5m2s");
    assert_eq!(sim.weights(), "v1=75 v2=25");
    assert_eq!((sim.patches - before.0, sim.news.len() - before.1), (2, 1));
}

#[test]
fn a_revert_in_mid_walk_is_at_once_and_what_was_reverted_walks_again() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("6m");
    assert_eq!(sim.trace(), ["v1=90 v2=10", "v1=75 v2=25"]);
    sim.push(on_v1());
    assert_eq!(sim.trace(), ["v1=100"]);
    assert_eq!(sim.journal().phase, Phase::Settled, "within proof is settled at once");
    sim.pass("1m").push(to_v2());
    assert_eq!(sim.trace(), ["v1=90 v2=10"], "the revert of the revert starts at the first step");
}

#[test]
fn a_tip_that_is_not_accepted_holds_a_walk_until_a_good_one_and_no_way_back() {
    let mut sim = settled_on_v1();
    sim.push(to_v2());
    assert_eq!(sim.trace(), ["v1=90 v2=10"]);
    sim.around.git.refused = Some("the tip 4f2c is not accepted: it is not signed".into());
    sim.look().pass("1h");
    assert_eq!(sim.reason().name(), "TipNotAccepted");
    assert!(sim.reason().to_string().contains("4f2c") && sim.reason().needs_a_person());
    assert_eq!(sim.trace(), [""; 0], "the hold is over, and nothing rises");
    sim.around.git.refused = None;
    sim.look();
    assert_eq!(sim.trace(), ["v1=75 v2=25"]);
    sim.around.git.refused = Some("again".into());
    sim.set_weights("v1=100");
    assert_eq!(sim.weights(), "v1=100");
    assert!(matches!(sim.journal().phase, Phase::WentBack { .. }), "lowered by hand is a stop all the same");
}

#[test]
fn a_revert_of_a_settled_target_is_at_once_and_its_revert_walks() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("2h");
    assert_eq!((sim.weights().as_str(), proven(&sim, "v2")), ("v2=100", 100));
    sim.trace();
    sim.push(on_v1());
    assert_eq!((sim.trace(), proven(&sim, "v2")), (vec!["v1=100".to_owned()], 0));
    sim.pass("1m").push(to_v2()).pass("2h");
    assert_eq!(sim.trace(), ["v1=90 v2=10", "v1=75 v2=25", "v1=50 v2=50", "v2=100"]);
}

#[test]
fn eleven_small_advances_by_hand_go_back_to_the_start_at_once() {
    let mut sim = Sim::new();
    sim.push(plan("v1=100")).pass("1m");
    for weight in 1..=11 {
        sim.push(plan(&format!("v1={} v2={weight}", 100 - weight))).pass("1m");
        assert_eq!((sim.journal().phase, proven(&sim, "v2")), (Phase::Settled, weight));
    }
    assert_eq!(sim.journal().settled.len(), 10, "the list is short, proof is not computed from it");
    sim.trace();
    sim.push(plan("v1=100"));
    assert_eq!(sim.trace(), ["v1=100"]);
    assert_eq!(proven(&sim, "v2"), 0);
}

#[test]
fn an_adopted_split_is_proven_and_its_way_back_is_at_once() {
    let mut sim = Sim::new();
    let live = crate::istio::virtual_service(&plan("v1=100").0.routing, &super::draft::traffic("v1=95 v2=5"));
    sim.api.put(ObjectKind::VirtualService, live);
    sim.crash();
    sim.push(plan("v1=95 v2=5").steps(STEPS));
    assert!(matches!(sim.reason(), Reason::Foreign { .. }), "{}", sim.reason());
    assert_eq!(sim.patches, 0);
    sim.push(plan("v1=95 v2=5").steps(STEPS).with(|plan| plan.take_ownership = true)).pass("1m");
    assert_eq!((proven(&sim, "v1"), proven(&sim, "v2")), (100, 5));
    assert_eq!(sim.trace(), Vec::<String>::new(), "adoption moves no traffic");
    sim.push(plan("v1=50 v2=50").steps(STEPS)).pass("6m");
    assert_eq!(sim.trace(), ["v1=90 v2=10", "v1=75 v2=25"]);
    sim.push(plan("v1=95 v2=5").steps(STEPS));
    assert_eq!((sim.trace(), sim.journal().phase), (vec!["v1=95 v2=5".to_owned()], Phase::Settled));
}

#[test]
fn a_new_build_behind_old_labels_walks_again() {
    let slots = [version("blue", "blue"), version("green", "green")];
    let to = |target: &str| plan(target).versions(&slots).from("blue=100").steps("20:5m");
    let mut sim = Sim::new();
    sim.push(to("blue=100")).pass("10m").push(to("green=100")).pass("1h");
    assert_eq!(sim.weights(), "green=100");
    sim.trace();
    sim.push(to("blue=100").build("blue", "2")).pass("1h");
    assert_eq!(sim.trace(), ["blue=20 green=80", "blue=100"]);
    sim.push(to("green=100").build("blue", "2"));
    assert_eq!(sim.trace(), ["green=100"], "green is proven");
}

#[test]
fn two_old_versions_fall_in_proportion_while_a_third_rises() {
    let mut sim = Sim::new();
    sim.push(plan("v1=90 v2=10")).pass("1m").push(plan("v1=50 v3=50").steps("10:5m 25:5m")).pass("1h");
    sim.push(plan("v3=100").steps("75:5m")).pass("1h");
    assert_eq!(
        sim.trace(),
        ["v1=90 v2=10", "v1=82 v2=8 v3=10", "v1=70 v2=5 v3=25", "v1=50 v3=50", "v1=25 v3=75", "v3=100"]
    );
}

#[test]
fn a_bad_canary_that_is_superseded_goes_first() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("6m");
    assert_eq!(sim.weights(), "v1=75 v2=25");
    sim.trace();
    sim.push(plan("v3=100").steps(STEPS)).pass("1h");
    assert_eq!(sim.trace(), ["v1=100", "v1=90 v3=10", "v1=75 v3=25", "v1=50 v3=50", "v3=100"]);
}

#[test]
fn steps_edited_at_10_never_jump() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("1m");
    sim.push(plan("v2=100").steps("2:1m 5:20m 30:1m 50:1m").from("v1=100"));
    assert_eq!(sim.trace(), ["v1=90 v2=10"]);
    sim.pass("18m");
    assert_eq!(sim.weights(), "v1=90 v2=10", "the hold is that of the new plan's last step below");
    sim.pass("10m");
    assert_eq!(sim.trace(), ["v1=70 v2=30", "v1=50 v2=50", "v2=100"]);
}

#[test]
fn steps_added_after_settling_change_nothing() {
    let mut sim = Sim::new();
    sim.push(plan("v1=100")).pass("1m").push(plan("v1=50 v2=50")).pass("1m");
    sim.trace();
    sim.push(plan("v1=50 v2=50").steps(STEPS)).pass("1h");
    assert_eq!((sim.trace().len(), sim.journal().phase), (0, Phase::Settled));
}

#[test]
fn stay_here_at_25_keeps_the_weights_and_settles_only_after_its_gates() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("6m");
    sim.trace();
    sim.push(plan("v1=75 v2=25").steps(STEPS));
    assert_eq!((sim.trace().len(), sim.journal().phase, proven(&sim, "v2")), (0, Phase::Target, 0));
    sim.pass("20m");
    assert_eq!((sim.journal().phase, proven(&sim, "v2")), (Phase::Settled, 25));
}

#[test]
fn routing_changes_are_applied_at_once_and_pins_wait_for_an_endpoint() {
    let mut sim = settled_on_v1();
    sim.push(on_v1().timeout("5s"));
    assert_eq!(sim.api.objects[&ObjectKind::VirtualService]["spec"]["http"][0]["timeout"], json!("5s"));
    assert_eq!(sim.journal().phase, Phase::Target, "another routing has to settle");
    sim.pass("1h");
    assert_eq!(sim.journal().phase, Phase::Settled);
    sim.ready("v2", 0).push(on_v1().timeout("5s").pin("qa", "v2"));
    assert_eq!(sim.api.objects[&ObjectKind::VirtualService]["spec"]["http"].as_array().unwrap().len(), 1);
    sim.pass("1h");
    assert!(matches!(sim.reason(), Reason::Pin { .. }), "{}", sim.reason());
    sim.ready("v2", 1);
    assert_eq!(sim.api.objects[&ObjectKind::VirtualService]["spec"]["http"][0]["name"], json!("qa"));
    sim.pass("1h");
    assert_eq!(sim.journal().phase, Phase::Settled);
    sim.push(on_v1());
    assert_eq!(sim.api.objects[&ObjectKind::VirtualService]["spec"]["http"].as_array().unwrap().len(), 1);
    assert_eq!(sim.journal().phase, Phase::Settled, "a routing that was settled before is settled at once");
}

#[test]
fn a_renamed_plan_inherits_object_and_walk() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("1m");
    sim.around.living = vec!["plans/shop/web".into()];
    sim.push(to_v2().name("frontend"));
    assert!(matches!(sim.reason(), Reason::OtherPlan { .. }), "never from one that still exists");
    sim.around.living.clear();
    sim.look().pass("5m");
    assert_eq!(sim.trace(), ["v1=90 v2=10", "v1=75 v2=25"]);
    assert_eq!(sim.journal().owner.to_string(), "plans/shop/frontend");
}

#[test]
fn a_version_dropped_while_it_carries_weight_leaves_step_by_step() {
    let mut sim = settled_on_v1();
    sim.push(to_v2().versions(&[version("v2", "v2")])).pass("1m");
    assert_eq!((sim.weights().as_str(), sim.subsets().as_str()), ("v1=90 v2=10", "v1,v2"));
    sim.pass("1h");
    assert_eq!((sim.weights().as_str(), sim.subsets().as_str()), ("v2=100", "v2"));
}

#[test]
fn a_version_is_relabelled_only_where_nothing_reaches_it() {
    let mut sim = settled_on_v1();
    let relabel = |name: &str| {
        let label = |v: &str| if v == name { "other".to_owned() } else { v.to_owned() };
        ["v1", "v2", "v3"].map(|v| version(v, &label(v)))
    };
    sim.push(on_v1().versions(&relabel("v1")));
    assert!(matches!(sim.reason(), Reason::Relabelled { .. }), "{}", sim.reason());
    sim.push(on_v1().versions(&relabel("v2"))).pass("1h");
    let rule = &sim.api.objects[&ObjectKind::DestinationRule];
    assert_eq!(rule["spec"]["subsets"][0]["labels"], json!({"version": "v1"}));
    assert_eq!(rule["spec"]["subsets"][1]["labels"], json!({"version": "other"}));
}

#[test]
fn a_plan_removed_at_10_goes_back_and_walks_again_when_brought_back() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("1m").remove();
    assert_eq!(sim.trace(), ["v1=90 v2=10", "v1=100"]);
    assert_eq!(sim.journal().phase, Phase::Released { prune: false, elsewhere: false });
    let patches = sim.patches;
    sim.pass("1h");
    assert_eq!(sim.patches, patches, "a plan that is let go is left alone");
    sim.push(to_v2()).pass("6m");
    assert_eq!(sim.trace(), ["v1=90 v2=10", "v1=75 v2=25"]);
}

#[test]
fn a_settled_plan_removed_moves_no_traffic_and_prune_deletes_in_order() {
    let mut sim = settled_on_v1();
    sim.push(on_v1().with(|plan| plan.prune = true)).pass("1h").remove();
    assert_eq!(sim.weights(), "-");
    assert_ne!(sim.subsets(), "-", "the DestinationRule stays until the proxies have left it");
    assert!(!sim.is_done());
    sim.pass("10s");
    assert_eq!(sim.subsets(), "-");
    assert!(sim.is_done());
    let mut sim = settled_on_v1();
    sim.remove().pass("1h");
    assert_eq!((sim.weights().as_str(), sim.trace().len()), ("v1=100", 0));
}

#[test]
fn a_visibility_that_a_commit_drops_is_taken_off_and_one_of_somebody_else_stays() {
    let kinds = [ObjectKind::VirtualService, ObjectKind::DestinationRule];
    let shown = |sim: &Sim| kinds.map(|kind| sim.api.objects[&kind]["spec"].get("exportTo").cloned());
    let private = || {
        on_v1().with(|plan| {
            plan.routing.virtual_service.export_to = Some(vec![".".into()]);
            plan.routing.destination_rule.export_to = Some(vec![".".into()]);
        })
    };
    let mut sim = settled_on_v1();
    sim.edit(ObjectKind::VirtualService, |object| object["spec"]["exportTo"] = json!(["theirs"])).pass("1m");
    assert_eq!(shown(&sim), [Some(json!(["theirs"])), None], "nobody declared it");
    sim.push(private()).pass("1h");
    assert_eq!(shown(&sim), [Some(json!(["."])), Some(json!(["."]))]);
    sim.push(on_v1());
    assert_eq!(shown(&sim), [None, None]);
    assert_eq!(sim.journal().phase, Phase::Settled, "a routing that was settled before is settled at once");
    let patches = sim.pass("1m").patches;
    assert_eq!(sim.pass("1h").patches, patches);
    sim.push(to_v2().with(|plan| plan.routing.virtual_service.export_to = Some(vec!["*".into()]))).pass("1m");
    assert_eq!(shown(&sim), [Some(json!(["*"])), None]);
    sim.ready("v2", 0).pass("11s");
    assert_eq!((sim.weights().as_str(), shown(&sim)), ("v1=100", [None, None]), "a way back drops it, too");
}

#[test]
fn a_plan_removed_before_it_ever_settled_is_let_go_and_pruned_where_it_says_so() {
    let young = |prune: bool| plan("v1=100").with(|plan| (plan.prune, plan.settle) = (prune, "1h".parse().unwrap()));
    // Before the proxies know the subsets there is no route yet.
    for (age, prune, left) in
        [("1s", true, "- -"), ("1s", false, "- v1,v2,v3"), ("10s", true, "- -"), ("10s", false, "v1=100 v1,v2,v3")]
    {
        let mut sim = Sim::new();
        sim.push(young(prune)).pass(age).remove().pass("1m");
        assert_eq!(format!("{} {}", sim.weights(), sim.subsets()), left, "{age} {prune}");
        assert_eq!((sim.reason(), sim.is_done()), (Reason::Released, left != "- v1,v2,v3"));
    }
    let mut sim = Sim::new();
    sim.push(young(true).with(|plan| plan.take_ownership = true)).pass("1s").remove().pass("1m");
    assert_eq!(sim.subsets(), "v1,v2,v3", "it may be somebody else's");
}

#[test]
fn a_virtual_service_deleted_by_hand_comes_back_as_it_was() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("6m");
    sim.trace();
    sim.delete(ObjectKind::VirtualService);
    assert_eq!(sim.trace(), ["v1=75 v2=25"], "this process remembers");
    sim.delete(ObjectKind::VirtualService).trace();
    sim.api.objects.remove(&ObjectKind::VirtualService);
    sim.crash().pass("1m");
    assert_eq!(
        sim.trace(),
        ["v1=100", "v1=90 v2=10"],
        "another process starts from the copy of the last settled state"
    );
}

#[test]
fn a_new_virtual_service_waits_until_its_subsets_are_known() {
    let mut sim = Sim::new();
    sim.push(plan("v1=100"));
    assert_eq!(sim.writes, ["dr v1,v2,v3"]);
    sim.pass("2s");
    assert_eq!(sim.writes, ["dr v1,v2,v3", "vs v1=100"]);
}

#[test]
fn a_plan_with_steps_needs_a_baseline() {
    let mut sim = Sim::new();
    sim.push(plan("v2=100").steps(STEPS));
    assert_eq!(sim.reason(), Reason::NoBaseline);
    sim.ready("v2", 0).ready("v3", 0).pass("10s");
    assert_eq!(sim.weights(), "v1=100", "the only version with ready endpoints is what callers get");
    sim.ready("v2", 1);
    assert_eq!(sim.weights(), "v1=90 v2=10");
}

#[test]
fn lowering_the_canary_by_hand_is_a_stop_and_raising_it_is_put_back() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("6m");
    sim.trace();
    sim.set_weights("v1=40 v2=60");
    assert_eq!(sim.trace(), ["v1=75 v2=25"]);
    sim.set_weights("v1=90 v2=10");
    assert_eq!(sim.trace(), ["v1=100"]);
    assert!(matches!(sim.journal().phase, Phase::WentBack { cause: Cause::LoweredByHand(_) }));
    sim.pass("1d");
    assert_eq!(sim.trace(), Vec::<String>::new(), "the same content is not tried again");
    sim.push(to_v2().build("v2", "fixed"));
    assert_eq!(sim.trace(), ["v1=90 v2=10"]);
}

#[test]
fn drift_of_a_settled_route_is_put_back() {
    let mut sim = settled_on_v1();
    sim.set_weights("v1=50 v2=50");
    assert_eq!((sim.trace(), sim.journal().phase), (vec!["v1=100".to_owned()], Phase::Settled));
}

#[test]
fn a_canary_that_loses_its_endpoints_goes_back_after_ten_seconds() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("1m").trace();
    sim.ready("v2", 0).pass("9s");
    assert_eq!(sim.weights(), "v1=90 v2=10");
    sim.pass("1s");
    assert_eq!(sim.weights(), "v1=100");
    assert!(matches!(sim.journal().phase, Phase::WentBack { cause: Cause::EndpointsGone(_) }));
}

#[test]
fn a_step_that_gets_no_endpoint_goes_back_at_the_deadline() {
    let mut sim = settled_on_v1();
    let two = |target: &str| plan(target).steps("10:5m 30:5m").from("v1=100");
    sim.push(two("v2=50 v3=50")).pass("1m");
    assert_eq!(sim.weights(), "v1=90 v2=5 v3=5");
    sim.trace();
    sim.around.ready.insert("v3".into(), None);
    sim.look().pass("1d");
    assert!(matches!(sim.reason(), Reason::Endpoints { deadline: None, .. }), "what is unknown is no failure");
    let mut sim = settled_on_v1();
    sim.ready("v2", 0).push(plan("v2=100").steps("0:5m 10:5m")).pass("6m");
    assert!(matches!(sim.reason(), Reason::Endpoints { deadline: Some(_), .. }), "{}", sim.reason());
    sim.pass("11m");
    assert!(matches!(sim.journal().phase, Phase::WentBack { cause: Cause::Deadline(_) }));
    assert_eq!(sim.trace(), Vec::<String>::new());
}

#[test]
fn a_paused_plan_does_not_rise_and_a_suspended_one_writes_nothing() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("1m").push(to_v2().with(|plan| plan.pause = true)).pass("1h");
    assert_eq!((sim.weights().as_str(), sim.reason()), ("v1=90 v2=10", Reason::Paused));
    sim.trace();
    sim.push(to_v2());
    assert_eq!(sim.trace(), ["v1=75 v2=25"], "holds counted on");
    let patches = sim.patches;
    sim.push(on_v1().with(|plan| plan.suspend = true)).set_weights("v3=100").pass("1h");
    assert_eq!((sim.patches, sim.reason()), (patches, Reason::Suspended));
}
