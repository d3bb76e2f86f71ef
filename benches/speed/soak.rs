//! Whether memory grows: thousands of commits, and the resident memory after each part of them.

use crate::Wanted;
use crate::bed::Bed;
use crate::figures::{Board, Bound, Samples, Unit};
use crate::mesh::Mesh;

const PLANS: usize = 100;
const COMMITS: usize = 2_000;
const COMMITS_QUICK: usize = 200;
/// The first part warms up: caches of files and connections fill.
const PARTS: usize = 5;
/// What may lie between the end of the first part and the end of the last, in MiB.
const GROWTH_MIB: f64 = 4.0;

pub async fn measure(wanted: &Wanted, mesh: &Mesh, board: &mut Board) {
    let mut bed = Bed::start(mesh, "soak", PLANS).await;
    let mut resident = Samples::new(Unit::Mebibytes);
    let mut warm = 0.0;
    for part in 0..PARTS {
        let each = wanted.samples(COMMITS, COMMITS_QUICK) / PARTS;
        for turn in 0..each {
            let (name, v2) = bed.next_change(part * each + turn);
            let commit = bed.plans.prepare(&[bed.file(&name, v2)]);
            bed.plans.publish(commit);
            bed.watch.all_at(&[name], v2).await;
        }
        mesh.calm().await;
        resident.push(bed.tidegate().rss_mib());
        if part == 0 {
            warm = bed.tidegate().rss_mib();
        }
    }
    let commits = wanted.samples(COMMITS, COMMITS_QUICK);
    board.show(&format!("resident memory over {commits} commits"), &resident, &[]);
    let growth = Samples::of(Unit::Mebibytes, bed.tidegate().rss_mib() - warm);
    board.show(&format!("growth of it after the first {}", commits / PARTS), &growth, &[Bound::Most(GROWTH_MIB)]);
}
