//! Drift: what is put back, when, and what becomes of a route over which somebody else fights.

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    draft::{on_v1, plan, settled_on_v1, to_v2},
    simulation::Sim,
};
use crate::{
    istio::{ObjectKind, Writer},
    plan::DriftPolicy,
    reconcile::News,
    rollout::{Cause, Phase, Reason, What},
};

const ROUTE: ObjectKind = ObjectKind::VirtualService;
const RULE: ObjectKind = ObjectKind::DestinationRule;

/// Drift that exposes nobody: another timeout.
fn slower(object: &mut Value) {
    object["spec"]["http"][0]["timeout"] = json!("99s");
}

fn is_slower(sim: &Sim) -> bool {
    sim.api.objects[&ROUTE]["spec"]["http"][0]["timeout"] == json!("99s")
}

fn count(sim: &Sim, is: impl Fn(&News) -> bool) -> usize {
    sim.news.iter().filter(|news| is(news)).count()
}

/// How long drift stands, in milliseconds, up to an hour.
fn stands_ms(sim: &mut Sim, stands: impl Fn(&Sim) -> bool) -> i64 {
    let begun = sim.now;
    while stands(sim) && sim.now.duration_since(begun) < SignedDuration::from_hours(1) {
        sim.pass_ms(100);
    }
    sim.now.as_millisecond() - begun.as_millisecond()
}

/// At the first step, with a fight over the timeout established and told.
fn fought() -> Sim {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("1m");
    assert_eq!(sim.weights(), "v1=90 v2=10");
    for _ in 0..5 {
        sim.edit(ROUTE, slower);
        stands_ms(&mut sim, is_slower);
    }
    assert_eq!(sim.reason().name(), "DriftFight");
    sim.trace();
    sim
}

/// Everything to v2, step by step; drift is told alone.
fn warning() -> super::draft::Draft {
    to_v2().with(|plan| plan.drift = DriftPolicy::Warn)
}

#[test]
fn pauses_between_corrections_grow_until_the_fight_is_held() {
    let mut sim = settled_on_v1();
    sim.writer = Some(Writer { manager: "argocd-controller".into(), operation: "Update".into(), at: Some(sim.now) });
    let waits: Vec<i64> = (0..6)
        .map(|_| {
            sim.edit(ROUTE, slower);
            stands_ms(&mut sim, is_slower)
        })
        .collect();
    assert_eq!(waits, [0, 500, 1_000, 2_000, 4_000, 900_000]);
    assert_eq!(count(&sim, |news| matches!(news, News::DriftCorrected(ROUTE))), 5);
    assert_eq!(count(&sim, |news| matches!(news, News::DriftHeldOff(ROUTE))), 1);
    assert_eq!(count(&sim, |news| matches!(news, News::DriftFight(_))), 1, "it alarms once");
    let Reason::DriftFight { fight, .. } = sim.reason() else { panic!("{}", sim.reason()) };
    assert_eq!((fight.corrections, fight.by.unwrap().manager.as_str()), (6, "argocd-controller"));
    assert_eq!(fight.until, sim.now + SignedDuration::from_mins(15));
    assert!(sim.reason().needs_a_person());
    sim.pass("15m");
    assert_eq!(sim.reason(), Reason::Settled, "left alone, the fight is over");
    sim.edit(ROUTE, slower);
    assert!(!is_slower(&sim), "and the next change is put back at once");
}

#[test]
fn who_it_is_is_asked_once_while_the_change_still_stands() {
    let mut sim = settled_on_v1();
    for _ in 0..20 {
        sim.set_weights("v2=100").pass("20s");
    }
    assert_eq!(sim.asked, ["v2=100"]);
}

#[test]
fn nothing_rises_in_a_fight_and_the_walk_goes_on_after_it() {
    let mut sim = fought();
    sim.edit(ROUTE, slower).pass("14m");
    assert!(is_slower(&sim), "drift that exposes nobody is left alone");
    assert_eq!(sim.trace(), Vec::<String>::new(), "{}", sim.reason());
    sim.pass("2m");
    assert!(!is_slower(&sim));
    assert_eq!((sim.weights().as_str(), sim.reason().name()), ("v1=90 v2=10", "DriftFight"));
    sim.pass("15m");
    assert_eq!(sim.trace(), ["v1=75 v2=25"]);
}

#[test]
fn law_03_a_way_back_is_not_held_up_by_a_fight() {
    let mut sim = fought();
    sim.edit(ROUTE, slower).ready("v2", 0).pass("10s");
    assert_eq!(sim.weights(), "v1=100");
    assert!(matches!(sim.journal().phase, Phase::WentBack { cause: Cause::EndpointsGone(_) }));
    let mut sim = fought();
    sim.edit(ROUTE, slower).edit(ROUTE, |object| object["metadata"]["annotations"]["tidegate.dev/stop"] = json!("ann"));
    assert_eq!(sim.weights(), "v1=100");
    let mut sim = fought();
    sim.edit(ROUTE, slower).push(on_v1());
    assert_eq!((sim.weights().as_str(), is_slower(&sim)), ("v1=100", false), "a commit writes it whole");
}

#[test]
fn a_commit_ends_a_fight_and_the_walk_goes_on() {
    let mut sim = fought();
    sim.push(to_v2().timeout("99s"));
    assert_eq!(sim.reason().name(), "Converging", "what the other side wants is what the plan says now");
    sim.pass("6m");
    assert_eq!(sim.weights(), "v1=75 v2=25");
}

#[test]
fn a_restart_forgets_a_fight_and_finds_it_again() {
    let mut sim = fought();
    sim.crash().settle_now();
    assert_eq!(sim.reason().name(), "Hold");
    for _ in 0..5 {
        sim.edit(ROUTE, slower);
        stands_ms(&mut sim, is_slower);
    }
    assert_eq!(sim.reason().name(), "DriftFight");
}

#[test]
fn law_04_drift_that_exposes_callers_stands_no_longer_than_ten_seconds_in_any_fight() {
    let exposures: [for<'a> fn(&'a mut Sim) -> &'a mut Sim; 4] = [
        |sim| sim.set_weights("v1=10 v2=90"),
        |sim| sim.delete(ROUTE),
        |sim| sim.edit(RULE, |object| object["spec"]["subsets"] = json!([])),
        |sim| sim.edit(ROUTE, |object| object["spec"]["hosts"] = json!(["other"])),
    ];
    for (number, expose) in exposures.into_iter().enumerate() {
        let mut sim = settled_on_v1();
        sim.push(to_v2()).pass("1m");
        let waits: Vec<i64> = (0..12)
            .map(|_| {
                expose(&mut sim);
                stands_ms(&mut sim, Sim::exposes)
            })
            .collect();
        assert_eq!(waits[..5], [0; 5], "exposure {number}: at once until the fight is established");
        assert!(waits[5..].iter().all(|ms| (1_000..=10_000).contains(ms)), "exposure {number}: {waits:?}");
        assert_eq!(sim.reason().name(), "DriftFight");
    }
}

#[test]
fn a_writer_that_never_rests_costs_a_bounded_number_of_writes() {
    for change in [slower as fn(&mut Value), |object| object["spec"]["http"][0]["route"][0]["weight"] = json!(50)] {
        let mut sim = settled_on_v1();
        sim.push(plan("v1=75 v2=25")).pass("1m");
        let before = sim.patches;
        for _ in 0..2_000 {
            sim.edit(ROUTE, change);
            sim.pass_ms(300);
        }
        assert!(sim.patches - before < 75, "{} writes in ten minutes", sim.patches - before);
    }
}

#[test]
fn a_fight_over_the_journal_does_not_push_history_out_of_it() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("6m");
    let before = sim.journal().transitions.len();
    for _ in 0..600 {
        sim.edit(ROUTE, |object| object["metadata"]["annotations"]["tidegate.dev/journal"] = json!("{"));
        sim.pass("1m");
    }
    sim.pass("15m");
    let journal = sim.journal();
    let restored = journal.transitions.iter().filter(|transition| transition.what == What::Restored).count();
    assert!(restored <= 1, "{restored}");
    assert_eq!(journal.transitions.len() - before, restored, "and nothing rises: {:?}", journal.transitions);
    assert_eq!(count(&sim, |news| matches!(news, News::DriftFight(_))), 1);
}

#[test]
fn marks_that_are_taken_off_again_and_again_are_a_fight_too() {
    let mut sim = settled_on_v1();
    let before = sim.patches;
    for _ in 0..600 {
        sim.edit(ROUTE, |object| object["metadata"]["labels"] = json!({})).pass("1s");
    }
    assert!(sim.patches - before <= 6, "{} writes", sim.patches - before);
    assert_eq!(sim.reason().name(), "DriftFight");
}

#[test]
fn marks_and_journal_taken_off_together_are_put_back_by_a_process_that_saw_them() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("1m");
    sim.edit(ROUTE, |object| {
        object["metadata"]["labels"] = json!({});
        object["metadata"]["annotations"] = json!({});
        slower(object);
    });
    assert_eq!((sim.journal().phase, is_slower(&sim)), (Phase::Walking { weight: 10 }, false));
}

#[test]
fn under_warn_drift_stands_and_is_told_and_nothing_rises_until_it_is_gone() {
    let mut sim = settled_on_v1();
    sim.push(warning()).pass("1m");
    assert_eq!(sim.trace(), ["v1=90 v2=10"]);
    let patches = sim.patches;
    sim.edit(ROUTE, slower).pass("1d");
    assert_eq!((sim.patches - patches, is_slower(&sim)), (0, true));
    assert_eq!(sim.reason(), Reason::Drift { cluster: "east".into(), kind: ROUTE });
    sim.edit(ROUTE, |object| drop(object["spec"]["http"][0].as_object_mut().unwrap().remove("timeout")));
    assert_eq!(sim.trace(), ["v1=75 v2=25"], "undone, the walk goes on");
    sim.edit(RULE, |object| object["spec"]["trafficPolicy"] = json!({"tls": {"mode": "DISABLE"}})).pass("1m");
    assert_eq!(sim.reason().name(), "Hold", "a policy that the plan does not have is nobody's business");
    sim.pass("2h");
    assert_eq!((sim.weights().as_str(), sim.reason()), ("v2=100", Reason::Settled));
    sim.set_weights("v1=50 v2=50").pass("1h");
    assert_eq!((sim.weights().as_str(), sim.reason().name()), ("v1=50 v2=50", "Drift"), "both are proven");
    sim.crash().pass("1h");
    assert_eq!((sim.weights().as_str(), sim.reason().name()), ("v1=50 v2=50", "Drift"), "also to another process");
}

#[test]
fn law_04_warn_leaves_nothing_that_exposes_callers() {
    let mut sim = settled_on_v1();
    sim.push(warning()).pass("1m");
    sim.set_weights("v1=80 v2=20");
    assert_eq!(sim.weights(), "v1=90 v2=10");
    sim.set_weights("v3=100");
    assert_eq!(sim.weights(), "v1=100", "v2 was lowered: that is a stop");
    sim.push(warning().build("v2", "2")).pass("1m").trace();
    sim.delete(ROUTE).delete(RULE).pass("3s");
    assert_eq!((sim.weights().as_str(), sim.subsets().as_str()), ("v1=90 v2=10", "v1,v2,v3"));
    sim.edit(RULE, |object| drop(object["spec"]["subsets"].as_array_mut().unwrap().remove(1)));
    assert_eq!(sim.subsets(), "v1,v3,v2");
    sim.edit(ROUTE, |object| object["spec"]["hosts"] = json!(["other"]));
    assert_eq!(sim.api.objects[&ROUTE]["spec"]["hosts"], json!(["web.shop.svc.cluster.local"]));
}

#[test]
fn under_warn_marks_and_journal_come_back_and_the_change_beside_them_stands() {
    let mut sim = settled_on_v1();
    sim.push(warning()).pass("1m");
    sim.edit(ROUTE, slower).edit(ROUTE, |object| object["metadata"]["annotations"] = json!({}));
    assert!(is_slower(&sim));
    assert_eq!(sim.journal().phase, Phase::Walking { weight: 10 });
    sim.edit(ROUTE, |object| object["metadata"]["labels"] = json!({})).pass("1s");
    assert!(is_slower(&sim));
    assert_eq!(sim.api.objects[&ROUTE]["metadata"]["labels"]["app.kubernetes.io/managed-by"], json!("tidegate"));
}

#[test]
fn under_warn_a_commit_and_a_way_back_write_the_object_whole() {
    let drifted = || {
        let mut sim = settled_on_v1();
        sim.push(warning()).pass("1m").edit(ROUTE, slower).pass("1m");
        assert!(is_slower(&sim));
        sim
    };
    let mut sim = drifted();
    sim.push(on_v1());
    assert_eq!((sim.weights().as_str(), is_slower(&sim)), ("v1=100", false));
    let mut sim = drifted();
    sim.ready("v2", 0).pass("10s");
    assert_eq!((sim.weights().as_str(), is_slower(&sim)), ("v1=100", false));
}

#[test]
fn a_server_that_stores_something_else_is_named_with_the_place() {
    let mut sim = settled_on_v1();
    sim.push(to_v2()).pass("1m");
    sim.mutate = Some(slower);
    sim.edit(ROUTE, slower);
    let before = sim.patches;
    sim.pass("1h");
    assert!(sim.patches - before < 70, "{} writes in an hour", sim.patches - before);
    let Reason::WriteAltered { at, kind, .. } = sim.reason() else { panic!("{}", sim.reason()) };
    assert_eq!((at.as_str(), kind), ("/spec/http/0/timeout", ROUTE));
    assert_eq!(count(&sim, |news| matches!(news, News::WriteAltered(_))), 1);
    assert_eq!(count(&sim, |news| matches!(news, News::DriftCorrected(_))), 0, "nothing was put back");
    sim.mutate = None;
    sim.pass("2m");
    assert_ne!(sim.reason().name(), "WriteAltered");
    assert!(!is_slower(&sim));
}

#[derive(Clone, Debug)]
enum Hand {
    Slower,
    Weights(&'static str),
    Delete(bool),
    Journal,
    Label,
    Pass(u32),
}

fn hands() -> impl Strategy<Value = Vec<Hand>> {
    let weights = prop::sample::select(vec!["v1=100", "v2=100", "v3=100", "v1=50 v2=50"]);
    let hand = prop_oneof![
        3 => Just(Hand::Slower),
        3 => weights.prop_map(Hand::Weights),
        1 => any::<bool>().prop_map(Hand::Delete),
        1 => Just(Hand::Journal),
        1 => Just(Hand::Label),
        3 => (1_u32..30_000).prop_map(Hand::Pass),
    ];
    prop::collection::vec(hand, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Laws 4 and 13: whatever hands do, and however often, ten seconds later nobody is exposed, and in the end the
    /// objects are what the journal says.
    #[test]
    fn law_04_and_13_hold_against_any_hands(hands in hands(), warn in any::<bool>()) {
        let mut sim = settled_on_v1();
        sim.push(if warn { warning() } else { to_v2() }).pass("1m");
        for hand in &hands {
            if !sim.api.objects.contains_key(&ROUTE) || !sim.api.objects.contains_key(&RULE) {
                // Routes wait for the proxies to have the subsets that come back before them.
                sim.pass("13s");
            }
            match hand {
                Hand::Slower => sim.edit(ROUTE, slower),
                Hand::Weights(text) => sim.set_weights_of(&to_v2(), text),
                Hand::Delete(route) => sim.delete(if *route { ROUTE } else { RULE }),
                Hand::Journal => sim.edit(ROUTE, |object| object["metadata"]["annotations"] = json!({})),
                Hand::Label => sim.edit(ROUTE, |object| object["metadata"]["labels"] = json!({})),
                Hand::Pass(ms) => sim.pass_ms(i64::from(*ms)),
            };
            let reason = sim.reason();
            if let Some(until) = reason.until() {
                prop_assert!(sim.wake_at.is_some_and(|at| at <= until), "law 13: {reason} but wakes at {:?}", sim.wake_at);
            }
            let mut later = sim.clone();
            later.pass("13s");
            prop_assert!(!later.exposes(), "{} by {reason}", later.weights());
        }
        sim.pass("1h");
        prop_assert!(!sim.exposes());
        if !warn {
            prop_assert_eq!(sim.weights(), sim.journal().state.traffic.to_string());
            prop_assert!(!is_slower(&sim));
        }
    }
}
