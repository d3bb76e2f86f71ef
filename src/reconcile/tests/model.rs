//! Law 11 by exhaustion: every interleaving, to a depth, of crash, lost answer, lost write, stale read, time and a
//! person's hand leads to declared weights, and in the end to where an undisturbed walk ends.

use std::collections::BTreeSet;

use super::{
    draft::{Draft, plan},
    simulation::Sim,
};
use crate::{cluster::Outcome, istio::ObjectKind, rollout::Phase};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    /// The process dies and another one starts.
    Crash,
    /// The next write happens; its answer is lost.
    LoseAnswer,
    /// The next write does not happen, and nobody can tell.
    LoseWrite,
    /// The next write meets a newer object: a controller has touched its labels meanwhile.
    Touch,
    /// One event is handled.
    Turn,
    /// Time passes to the next instant that somebody waits for.
    Wait,
    /// A person puts all traffic back on v1.
    Lower,
    /// A person gives the canary more.
    Raise,
    /// The canary loses its endpoints.
    Gone,
    /// The commit is reverted.
    Revert,
}

const ACTS: [Act; 10] = [
    Act::Crash,
    Act::LoseAnswer,
    Act::LoseWrite,
    Act::Touch,
    Act::Turn,
    Act::Wait,
    Act::Lower,
    Act::Raise,
    Act::Gone,
    Act::Revert,
];

fn baseline() -> Draft {
    plan("v1=100").steps("10:1m 50:1m").from("v1=100")
}

fn canary() -> Draft {
    plan("v2=100").steps("10:1m 50:1m").from("v1=100")
}

fn perform(sim: &mut Sim, act: Act) {
    match act {
        Act::Crash => {
            sim.crash();
        }
        Act::LoseAnswer => sim.lose_answer = true,
        Act::LoseWrite => sim.refuse.push_back(Outcome::Unknown { message: "torn connection".into() }),
        Act::Touch => sim.touch(),
        Act::Turn => {
            sim.turn();
        }
        Act::Wait => match sim.wake_at {
            Some(at) => {
                let ms = at.as_millisecond() - sim.now.as_millisecond();
                sim.pass_ms(ms.max(0));
            }
            None => sim.settle_now(),
        },
        Act::Lower => {
            sim.set_weights("v1=100");
        }
        Act::Raise => {
            sim.set_weights("v1=30 v2=70");
        }
        Act::Gone => {
            sim.ready("v2", 0);
        }
        Act::Revert => sim.commit(baseline()),
    }
}

/// The weights that tidegate itself may have written in this world.
const DECLARED: [&str; 4] = ["v1=100", "v1=90 v2=10", "v1=50 v2=50", "v2=100"];

/// Disturbances in a row, from each start.
const DEPTH: u32 = 3;

#[test]
fn law_11_a_crash_anywhere_is_harmless() {
    let mut committed = Sim::new();
    committed.push(baseline()).pass("1m");
    committed.commit(canary());
    let mut in_flight = committed.clone();
    in_flight.turn();
    let mut walking = committed.clone();
    walking.pass("30s");
    let mut reached = committed.clone();
    reached.pass("2m10s");
    assert_eq!([walking.weights(), reached.weights()], ["v1=90 v2=10", "v2=100"]);
    let mut seen = BTreeSet::new();
    let mut ends = 0;
    for mut start in [committed, in_flight, walking, reached] {
        start.writes.clear();
        ends += explore(start, DEPTH, &mut seen);
    }
    assert!(ends > 500, "the model explored only {ends} states");
}

/// Performs every sequence of acts up to the depth; returns how many different states it has met.
fn explore(start: Sim, depth: u32, seen: &mut BTreeSet<String>) -> u32 {
    let mut ends = 0;
    let mut frontier = vec![(start, Vec::new())];
    for _ in 0..depth {
        let mut next = Vec::new();
        for (sim, path) in frontier {
            for act in ACTS {
                let mut sim = sim.clone();
                sim.checks.clear();
                perform(&mut sim, act);
                let mut path: Vec<Act> = path.clone();
                path.push(act);
                for write in sim.writes.iter().filter_map(|write| write.strip_prefix("vs ")) {
                    assert!(DECLARED.contains(&write), "{write} after {path:?}");
                }
                if seen.insert(sim.fingerprint()) {
                    ends_well(sim.clone(), &path, seen);
                    ends += 1;
                    next.push((sim, path));
                }
            }
        }
        frontier = next;
    }
    ends
}

/// Without further disturbance the walk ends at its target, a revert at the baseline; after a stop by hand or a
/// canary without endpoints it may end at its way back.
fn ends_well(mut sim: Sim, path: &[Act], seen: &mut BTreeSet<String>) {
    sim.refuse.clear();
    sim.lose_answer = false;
    sim.around.ready.clear();
    sim.look();
    let known = ACTS.map(|act| act != Act::Turn && act != Act::Wait && path.contains(&act));
    if !seen.insert(format!("{known:?} {}", sim.fingerprint())) {
        return;
    }
    sim.pass("20m");
    let did = |acts: &[Act]| path.iter().any(|act| acts.contains(act));
    let journal = sim.journal();
    let end = (sim.weights(), journal.phase.clone());
    let stopped = matches!(journal.phase, Phase::WentBack { .. }) && end.0 == "v1=100";
    let target = if did(&[Act::Revert]) { "v1=100" } else { "v2=100" };
    let arrived = end == (target.to_owned(), Phase::Settled);
    let may_stop = did(&[Act::Lower, Act::Raise, Act::Gone]) && !did(&[Act::Revert]);
    assert!(arrived || (may_stop && stopped), "{end:?} {:?} after {path:?}", sim.reason());
    assert!(sim.api.objects.contains_key(&ObjectKind::DestinationRule));
}
