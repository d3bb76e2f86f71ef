//! What one decision costs for a plan that has not changed, alone and with the worker around it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tidegate::istio;
use tidegate::reconcile::Event;
use tidegate::rollout::{Goal, decide};

use crate::Wanted;
use crate::figures::{Board, Bound, Samples, Unit};
use crate::route::{Route, Well};

const DECISION_US: f64 = 20.0;
/// Decisions per sample: the clock is too coarse for one.
const BATCH: u32 = 20;

pub fn measure(wanted: &Wanted, board: &mut Board) {
    let mut route = Route::settled();
    let (world, now) = (route.world(), route.now);
    let decision = decide(&world, now);
    let unchanged = |goal: &Goal| matches!(goal, Goal::Apply(apply) if !apply.journal_changed && !apply.copy);
    assert!(decision.goals.values().all(unchanged), "{decision:?}");
    let samples = wanted.samples(2_000, 500);
    let pure = timed(samples, || {
        black_box(decide(black_box(&world), now));
    });
    board.show("decision, plan unchanged", &pure, &[Bound::Median(DECISION_US)]);

    let sight = Well(now);
    assert!(route.worker.handle(Event::Look, now, &sight).is_empty());
    let whole = timed(samples, || {
        black_box(route.worker.handle(Event::Look, now, &sight));
    });
    board.show("the same with its worker: world and edits", &whole, &[]);

    let journal = decision.journal.unwrap();
    let live = world.clusters.values().next().unwrap().virtual_service.clone().unwrap();
    let (routing, traffic) = (&journal.state.routing, &journal.state.traffic);
    let drift = timed(samples, || {
        black_box(istio::drift(black_box(&live), routing, traffic));
    });
    board.show("drift of a live object", &drift, &[]);
}

fn timed(samples: usize, mut run: impl FnMut()) -> Samples {
    (0..1_000).for_each(|_| run());
    let mut times = Samples::new(Unit::Microseconds);
    for _ in 0..samples {
        let begin = Instant::now();
        (0..BATCH).for_each(|_| run());
        times.push_time(begin.elapsed().checked_div(BATCH).unwrap_or(Duration::ZERO));
    }
    times
}
