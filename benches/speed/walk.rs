//! How long holds are kept, and how many requests a step costs, as the API server counts them.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate::rollout::{Journal, Phase};

use crate::Wanted;
use crate::figures::{Board, Bound, Samples, Unit};
use crate::mesh::{Mesh, Watch};
use crate::plans::{PlanRepository, path, plan};
use crate::process::{Running, Setup};

const CONVERGENCE_WAIT: Duration = Duration::from_millis(200);
const STEPS: [&str; 6] = [
    "{weight: 1, hold: 2s}",
    "{weight: 5, hold: 2s}",
    "{weight: 10, hold: 2s}",
    "{weight: 20, hold: 2s}",
    "{weight: 50, hold: 2s}",
    "{weight: 75, hold: 2s}",
];
/// The steps between which requests are counted: neither the first, which comes with a new plan, nor the target.
const COUNTED: [u64; 2] = [5, 50];
const BETWEEN: f64 = 3.0;
/// How long after the last convergence they are counted: Events are sent after the write, and no hold has ended yet.
const MOMENT: Duration = Duration::from_millis(700);

/// The bound on what a hold is too long, in milliseconds.
const LATE_MS: f64 = 200.0;

pub async fn measure(wanted: &Wanted, mesh: &Mesh, board: &mut Board) {
    let names: Vec<String> = (0..wanted.samples(10, 5)).map(|at| format!("w{at:02}")).collect();
    let namespace = mesh.services("walk", &names).await;
    let files = |v2| -> Vec<(String, String)> {
        names.iter().map(|name| (path(name), plan(&namespace, name, v2, &STEPS))).collect()
    };
    let plans = PlanRepository::with(&files(0));
    let mut watch = Watch::start(mesh, &namespace).await;
    let _tidegate = Running::start(&mesh.plane.kubeconfig(), &Setup::local(&plans), CONVERGENCE_WAIT);
    watch.all_at(&names, 0).await;
    mesh.calm().await;
    plans.publish(plans.prepare(&files(100)));

    let mut late = Samples::new(Unit::Milliseconds);
    let mut held: BTreeMap<String, Journal> = BTreeMap::new();
    let mut settled = 0;
    let mut converged = BTreeMap::from(COUNTED.map(|weight| (weight, 0)));
    let mut counts = Vec::new();
    while settled < names.len() {
        let event = watch.next().await;
        let journal = Journal::on(&event.object).unwrap().unwrap();
        if let Some(before) = held.get(&event.name)
            && before.state.traffic != journal.state.traffic
            && let Some(opens) = before.hold_opens().filter(|_| before.hold.seconds() > 0)
        {
            late.push((event.wall.as_microsecond() - opens.as_microsecond()) as f64 / 1e3);
        }
        settled += usize::from(matches!(journal.phase, Phase::Settled));
        if let Some(count) = converged.get_mut(&event.v2).filter(|_| journal.converged.is_some()) {
            *count += 1;
            if *count == names.len() {
                tokio::time::sleep(MOMENT).await;
                counts.push(mesh.requests().await);
            }
        }
        held.insert(event.name, journal);
    }
    // Journals are written in whole milliseconds: an instant within the same one is not short.
    board.show("hold: longer than asked", &late, &[Bound::Least(-1.0), Bound::Most(LATE_MS)]);

    let [first, last] = counts[..] else { panic!("the steps were counted {} times", counts.len()) };
    let steps = BETWEEN * names.len() as f64;
    for (what, before, after, most) in [
        ("PATCH of VirtualServices per step", first.route_patches, last.route_patches, 2.0),
        ("PATCH of DestinationRules per step", first.destination_patches, last.destination_patches, 0.0),
        ("Events per step", first.events, last.events, 1.0),
        ("reads per step", first.reads, last.reads, 0.0),
    ] {
        board.show(what, &Samples::of(Unit::Count, (after - before) / steps), &[Bound::Median(most)]);
    }
}
