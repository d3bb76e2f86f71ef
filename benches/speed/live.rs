//! From a commit to the live weight, with few plans and with many, one at a time and all at once.

use crate::Wanted;
use crate::bed::Bed;
use crate::figures::{Board, Bound, Samples, Unit};
use crate::mesh::Mesh;

/// The bounds with 100 plans, in milliseconds; 1,000 plans may cost half as much again.
const MEDIAN_MS: f64 = 50.0;
const P99_MS: f64 = 150.0;
const GROWTH: f64 = 1.5;
const ALL_MS: f64 = 2_000.0;

pub async fn measure(wanted: &Wanted, mesh: &Mesh, board: &mut Board) {
    let (mut small, mut large) = (None, None);
    if wanted.has("live-100") {
        let mut bed = Bed::start(mesh, "hundred", 100).await;
        one_at_a_time(&mut bed, wanted, mesh, board, 1.0).await;
        small = Some(bed);
    }
    if wanted.has("live-1000") {
        let mut bed = Bed::start(mesh, "thousand", 1_000).await;
        one_at_a_time(&mut bed, wanted, mesh, board, GROWTH).await;
        if let Some(small) = &mut small {
            let growth = growth(small, &mut bed, wanted.samples(200, 40)).await;
            board.show("commit to live: 1,000 plans over 100, medians", &growth, &[Bound::Median(GROWTH)]);
        }
        large = Some(bed);
    }
    for bed in small.into_iter().chain(large) {
        bed.end(mesh).await;
    }
}

async fn one_at_a_time(bed: &mut Bed, wanted: &Wanted, mesh: &Mesh, board: &mut Board, growth: f64) {
    let count = bed.names.len();
    let mut live = Samples::new(Unit::Milliseconds);
    for at in 0..wanted.samples(400, 60) {
        live.push_time(bed.change(at).await);
    }
    let bounds = [Bound::Median(MEDIAN_MS * growth), Bound::P99(P99_MS * growth)];
    board.show(&format!("commit to live, {count} plans"), &live, &bounds);
    mesh.calm().await;
    let all = at_once(bed, mesh, wanted.samples(5, 2)).await;
    board.show(&format!("100 plans in one commit to all live, {count} plans"), &all, &[Bound::Most(ALL_MS)]);
}

/// The ratio of the medians of both, in turns, so that whatever else the machine does meets both alike.
pub async fn growth(small: &mut Bed, large: &mut Bed, samples: usize) -> Samples {
    let (mut of_small, mut of_large) = (Samples::new(Unit::Milliseconds), Samples::new(Unit::Milliseconds));
    for at in 0..samples {
        of_small.push_time(small.change(at).await);
        of_large.push_time(large.change(at).await);
    }
    Samples::of(Unit::Count, of_large.median() / of_small.median())
}

async fn at_once(bed: &mut Bed, mesh: &Mesh, samples: usize) -> Samples {
    let names = &bed.changed();
    let mut all = Samples::new(Unit::Milliseconds);
    for at in 0..samples {
        let v2 = if at % 2 == 0 { 20 } else { 5 };
        let files: Vec<(String, String)> = names.iter().map(|name| bed.file(name, v2)).collect();
        let commit = bed.plans.prepare(&files);
        let begin = bed.plans.publish(commit);
        let end = bed.watch.all_at(names, v2).await;
        all.push_time(end.saturating_duration_since(begin));
        mesh.calm().await;
    }
    all
}
