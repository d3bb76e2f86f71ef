//! What one walk costs the simulation, every law checked: what is not looked at cannot be found.

use std::time::Instant;

use crate::Wanted;
use crate::figures::{Board, Bound, Samples, Unit};
use crate::simulated::{self, Story};

/// A thousand walks a second on one core.
const WALK_MS: f64 = 1.0;
/// Stories of one sample.
const BATCH: u64 = 20;

pub fn measure(wanted: &Wanted, board: &mut Board) {
    let mut calm = Samples::new(Unit::Milliseconds);
    let mut troubled = Samples::new(Unit::Milliseconds);
    for sample in 0..wanted.samples(20, 5) as u64 {
        calm.push(walk_ms(sample, Story::walk));
        troubled.push(walk_ms(sample, Story::draw));
    }
    board.show("simulation: a walk that nothing disturbs", &calm, &[Bound::Median(WALK_MS)]);
    board.show("simulation: a walk in stories of faults and kills", &troubled, &[]);
}

fn walk_ms(sample: u64, story: impl Fn(u64) -> Story) -> f64 {
    let began = Instant::now();
    let seeds = sample * BATCH..(sample + 1) * BATCH;
    let walks: u64 = seeds.map(|seed| simulated::run(&story(seed)).expect("every law holds").walks).sum();
    began.elapsed().as_secs_f64() * 1e3 / walks as f64
}
