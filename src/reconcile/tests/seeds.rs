//! The simulation over many seeds: fixed ones, fresh ones for a while, and the one that was asked for.

use std::time::{Duration, Instant};

use crate::{
    reconcile::simulation::{self, Story},
    sabotage::{self, Sabotage},
};

/// Fixed seeds, the same in every run.
const SEEDS: u64 = 100;
/// How long fresh seeds are looked for, unless `TIDEGATE_SIM_SECONDS` says otherwise.
const FRESH_S: u64 = 3;

/// In so many walks the simulation notices what is broken on purpose.
const SABOTAGED: u64 = 100;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

fn run(seed: u64) -> simulation::Tally {
    let story = Story::draw(seed);
    simulation::run(&story).unwrap_or_else(|broken| {
        let (story, trace) = simulation::shortest(&story, broken.law);
        panic!(
            "{} does not hold: {}\nTIDEGATE_SIM_SEED={seed} shows it again; its shortest part:\n{:#?}\n{}",
            broken.law,
            broken.what,
            story.acts,
            trace.join("\n")
        )
    })
}

#[test]
fn every_law_holds_for_fixed_and_fresh_seeds() {
    if let Some(seed) = variable("TIDEGATE_SIM_SEED") {
        println!("seed {seed}: {:?}", run(seed));
        return;
    }
    for seed in 0..SEEDS {
        run(seed);
    }
    let fresh = Duration::from_secs(variable("TIDEGATE_SIM_SECONDS").unwrap_or(FRESH_S));
    let first =
        u64::from(std::process::id()) << 32 | u64::from(jiff::Timestamp::now().subsec_nanosecond().unsigned_abs());
    let (began, mut seed) = (Instant::now(), first);
    while began.elapsed() < fresh {
        run(seed);
        seed += 1;
    }
    println!("{SEEDS} fixed seeds and {} fresh ones from {first}", seed - first);
}

#[test]
fn what_is_broken_on_purpose_is_found() {
    let broken = [
        (Sabotage::ProofStays, "law 2"),
        (Sabotage::GitBeforeTraffic, "order"),
        (Sabotage::SubsetsBeforeWeights, "order"),
    ];
    for (sabotage, law) in broken {
        let finds =
            |seed: &u64| sabotage::with(sabotage, || simulation::run(&Story::draw(*seed))).is_err_and(|b| b.law == law);
        let seed = (0..SABOTAGED).find(finds);
        println!("{sabotage:?} breaks {law} in seed {seed:?}");
        assert!(seed.is_some(), "{sabotage:?} was not found in {SABOTAGED} walks");
    }
}
