//! The laws of the design as properties over random plans, commits, hands, faults and time.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::{
    draft::{Draft, plan, traffic},
    simulation::{Sim, Written},
};
use crate::{
    cluster::Outcome,
    istio::ObjectKind,
    plan::{Traffic, VersionName},
    reconcile::Event,
    rollout::{Journal, Phase, Reason, decide},
};

/// What may happen to a route.
#[derive(Clone, Debug)]
enum Act {
    Push(usize),
    Pass(u32),
    Crash,
    LoseAnswer,
    LoseWrite,
    Ready(u8, Option<u32>),
    Blind(bool),
    Refuse(bool),
    Lower,
}

const POOL: [(&str, &str); 8] = [
    ("v1=100", "10:5m 25:10m 50:10m"),
    ("v2=100", "10:5m 25:10m 50:10m"),
    ("v1=75 v2=25", "5:1m 20:3m"),
    ("v2=100", "2:1m 30:2m"),
    ("v3=100", "10:1m 40:1m"),
    ("v1=50 v3=50", "25:2m"),
    ("v1=90 v2=10", ""),
    ("v1=100", ""),
];

fn pool(place: usize) -> Draft {
    let (target, steps) = POOL[place];
    plan(target).steps(steps).from("v1=100")
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0..POOL.len()).prop_map(Act::Push),
        6 => (0_u32..900).prop_map(Act::Pass),
        1 => Just(Act::Crash),
        1 => Just(Act::LoseAnswer),
        1 => Just(Act::LoseWrite),
        1 => (1_u8..=3, prop_oneof![Just(None), Just(Some(0)), Just(Some(2))]).prop_map(|(v, n)| Act::Ready(v, n)),
        1 => any::<bool>().prop_map(Act::Blind),
        1 => any::<bool>().prop_map(Act::Refuse),
        1 => Just(Act::Lower),
    ];
    prop::collection::vec(act, 1..14)
}

fn perform(sim: &mut Sim, act: &Act) {
    match act {
        Act::Push(place) => {
            sim.push(pool(*place));
        }
        Act::Pass(seconds) => {
            sim.pass_ms(i64::from(*seconds) * 1000);
        }
        Act::Crash => {
            sim.crash().settle_now();
        }
        Act::LoseAnswer => sim.lose_answer = true,
        Act::LoseWrite => sim.refuse.push_back(Outcome::Unknown { message: "torn connection".into() }),
        Act::Ready(version, ready) => {
            sim.around.ready.insert(format!("v{version}"), *ready);
            sim.look();
        }
        Act::Blind(blind) => {
            sim.around.git.last_look = (!blind).then_some(sim.now);
            sim.look();
        }
        Act::Refuse(refuse) => {
            sim.around.git.refused = refuse.then(|| "the tip is not accepted".into());
            sim.look();
        }
        Act::Lower => {
            if sim.api.objects.contains_key(&ObjectKind::VirtualService) {
                sim.set_weights("v1=100");
            }
        }
    }
}

/// The weights that some plan of the pool declares for a version: by a step, a target, or nothing at all.
fn declared(total: u8) -> bool {
    let steps = POOL.iter().flat_map(|(_, steps)| steps.split_whitespace()).map(|step| step.split(':').next().unwrap());
    let steps: BTreeSet<u8> = steps.map(|weight| weight.parse().unwrap()).collect();
    total == 0 || total == 100 || steps.contains(&total) || [10, 25, 50].contains(&total)
}

/// Everything that must hold of one write that moved weights.
fn check_write(written: &Written, before: Option<&Traffic>) -> Result<(), TestCaseError> {
    let journal = Journal::on(&written.object).expect("a journal").expect("a good one");
    let (live, around) = (&written.weights, &written.around);
    prop_assert_eq!(live, &journal.state.traffic.to_string(), "the journal is written with the weights");
    for version in &journal.state.routing.versions {
        let weight = journal.state.traffic.weight(&version.name);
        let had = before.map_or(0, |before| before.weight(&version.name));
        if weight > had.max(journal.proven(version)) {
            prop_assert!(declared(weight) || journal.rising.len() != 1, "law 2: {} is no step: {}", live, version.name);
            prop_assert_eq!(around.ready.get(version.name.as_str()).copied().unwrap_or(Some(2)), Some(2), "law 8");
            prop_assert!(around.git.last_look.is_some(), "nothing rises blind");
            prop_assert!(around.git.refused.is_none(), "nothing rises while the tip is not accepted");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Laws 1, 2, 5, 8 and 13 over any history: what is live adds up and is declared, raises have evidence, the same
    /// world gives the same decision, and a plan that does not move says why.
    #[test]
    fn law_01_02_05_08_13_hold_in_any_history(acts in acts()) {
        let mut sim = Sim::new();
        sim.push(pool(0)).pass("1m");
        let mut before = Some(sim.journal().state.traffic.clone());
        for act in &acts {
            let lowered = matches!(act, Act::Lower);
            sim.checks = Vec::new();
            perform(&mut sim, act);
            for written in std::mem::take(&mut sim.checks) {
                check_write(&written, before.as_ref())?;
                before = Some(traffic(&written.weights));
            }
            if lowered { before = Some(sim.journal().state.traffic.clone()); }
            let reason = sim.reason();
            prop_assert!(!reason.to_string().is_empty() && !reason.name().is_empty());
            if let Some(until) = reason.until() {
                prop_assert!(sim.wake_at.is_some_and(|at| at <= until), "law 13: {} but wakes at {:?}", reason, sim.wake_at);
            }
        }
    }

    /// Law 3: in any position, a commit in which nothing rises is live at the very instant, whatever gates, pause,
    /// blindness or clocks say, as long as its versions are not known to be gone.
    #[test]
    fn law_03_going_back_is_never_gated(acts in acts(), back in 0_usize..2) {
        let mut sim = Sim::new();
        sim.push(pool(0)).pass("1m");
        for act in &acts {
            perform(&mut sim, act);
        }
        sim.refuse.clear();
        sim.lose_answer = false;
        sim.around.ready.clear();
        sim.pass("2m");
        // What was retreated from is not proven any more: going to it is a raise.
        let journal = sim.journal();
        let v1 = &journal.plan.routing.versions[0];
        prop_assume!(journal.proven(v1).max(journal.state.traffic.weight(&v1.name)) == 100);
        sim.around.git.last_look = None;
        sim.around.git.refused = Some("the tip is not accepted".into());
        sim.around.offset_ms = Some(60_000);
        let target = ["v1=100", "v1=100"][back];
        sim.push(plan(target).steps(["", "10:5m"][back]).from("v1=100").with(|plan| plan.pause = true));
        prop_assert_eq!(sim.weights(), target);
    }

    /// Law 5: deciding is a function of world and instant.
    #[test]
    fn law_05_the_decision_is_pure(acts in acts()) {
        let mut sim = Sim::new();
        sim.push(pool(0)).pass("1m");
        for act in &acts {
            perform(&mut sim, act);
            let world = sim.world();
            prop_assert_eq!(decide(&world, sim.now), decide(&world, sim.now));
        }
    }

    /// Law 7: between entering a step and entering the next lie at least convergence and hold, whatever crashes.
    #[test]
    fn law_07_a_hold_is_never_short(gaps in prop::collection::vec((1_u32..400, any::<bool>()), 1..12)) {
        let mut sim = Sim::new();
        sim.push(pool(0)).pass("1m").push(pool(1));
        let mut entered = (sim.now, sim.weights());
        for (gap, crash) in gaps {
            if crash { sim.crash().settle_now(); }
            for _ in 0..gap {
                sim.pass_ms(1000);
                if sim.weights() != entered.1 {
                    let held = sim.now.duration_since(entered.0);
                    let hold_s = if entered.1 == "v1=90 v2=10" { 300 } else { 600 };
                    prop_assert!(held >= SignedDuration::from_secs(hold_s + 2), "{} after {:?}", entered.1, held);
                    entered = (sim.now, sim.weights());
                }
            }
        }
    }

    /// Law 12: removing a settled plan moves no traffic; removing one in mid-walk is a way back; and bringing the
    /// same document back never starts above its first step.
    #[test]
    fn law_12_removal_moves_traffic_only_back(seconds in 0_u32..4000) {
        let mut sim = Sim::new();
        sim.push(pool(0)).pass("1m").push(pool(1)).pass_ms(i64::from(seconds) * 1000);
        let (weights, settled) = (sim.weights(), sim.journal().phase == Phase::Settled);
        sim.remove().pass("1h");
        prop_assert_eq!(sim.weights(), if settled { weights.clone() } else { "v1=100".to_owned() });
        sim.push(pool(1));
        let expected = if settled { weights } else { "v1=90 v2=10".to_owned() };
        if !settled { sim.pass("3s"); }
        prop_assert_eq!(sim.weights(), expected);
    }
}

#[test]
fn law_04_the_live_object_is_compared_never_believed() {
    let mut sim = Sim::new();
    sim.push(pool(0)).pass("1m").push(pool(1)).pass("1m");
    assert_eq!(sim.weights(), "v1=90 v2=10");
    for text in ["v1=50 v2=50", "v2=100", "v3=100"] {
        sim.set_weights(text);
        let raised = traffic(text).weight(&VersionName::new("v2")) >= 10;
        assert_eq!(sim.weights(), if raised { "v1=90 v2=10" } else { "v1=100" }, "{text}");
    }
    sim.pass("1d");
    assert_eq!(sim.weights(), "v1=100", "a stop is never corrected upwards");
}

/// A write that only records what happened may wait while a cluster is busy; a revert does not wait with it.
#[test]
fn law_03_a_revert_hurries_the_record_that_it_waits_for() {
    for (next, hurries) in [(plan("v1=100"), 1), (pool(1), 0)] {
        let mut sim = Sim::new();
        sim.push(pool(0)).pass("1m").push(pool(1));
        let recorded = (0..20).any(|_| {
            sim.now = sim.wake_at.take().expect("the walk goes on");
            sim.around.git.last_look = Some(sim.now);
            sim.queue.push_back(Event::Look);
            let (weights, patches) = (sim.weights(), sim.patches);
            sim.turn();
            let recorded = weights != "v1=100" && sim.weights() == weights && sim.patches == patches + 1;
            if !recorded {
                sim.settle_now();
            }
            recorded
        });
        assert!(recorded, "a step has converged, and that is being recorded");
        let answer = std::mem::take(&mut sim.queue);
        sim.commit(next);
        sim.turn();
        assert_eq!(sim.hurried, hurries);
        sim.queue.extend(answer);
        sim.settle_now();
        assert_eq!(sim.weights() == "v1=100", hurries == 1);
    }
}

#[test]
fn law_07_a_wrong_clock_stops_raises() {
    let mut sim = Sim::new();
    sim.push(pool(0)).pass("1m");
    sim.around.offset_ms = Some(-5_001);
    sim.push(pool(1)).pass("1h");
    assert_eq!((sim.weights().as_str(), sim.reason()), ("v1=100", Reason::ClockSkew { offset_ms: -5_001 }));
    sim.around.offset_ms = Some(4_000);
    sim.look();
    assert_eq!(sim.weights(), "v1=90 v2=10");
}

#[test]
fn law_08_unknown_endpoints_hold_a_raise_and_never_a_way_back() {
    let mut sim = Sim::new();
    sim.push(pool(0)).pass("1m");
    sim.around.ready.insert("v2".into(), None);
    sim.push(pool(1)).pass("1d");
    assert_eq!(sim.weights(), "v1=100");
    sim.around.ready.clear();
    sim.look();
    assert_eq!(sim.weights(), "v1=90 v2=10");
    sim.around.ready.extend(["v1", "v2", "v3"].map(|v| (v.to_owned(), None)));
    sim.push(pool(0));
    assert_eq!(sim.weights(), "v1=100");
}

#[test]
fn law_03_a_version_known_to_be_gone_gets_no_weight_even_on_the_way_back() {
    let mut sim = Sim::new();
    sim.push(pool(0)).pass("1m").push(pool(1)).pass("2h");
    assert_eq!(sim.weights(), "v2=100");
    sim.ready("v1", 0).push(pool(0));
    assert_eq!((sim.weights().as_str(), sim.reason().name()), ("v2=100", "CannotServe"));
    sim.ready("v1", 1);
    assert_eq!(sim.weights(), "v1=100");
}
