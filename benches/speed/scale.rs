//! What plans cost as they grow in number: the first sync, one commit, one edit by hand, a restart, and standing still.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};

use crate::Wanted;
use crate::bed::Bed;
use crate::figures::{Board, Bound, Samples, Unit};
use crate::kubernetes::{api, namespace};
use crate::live;
use crate::mesh::Mesh;

/// The number of plans, with the bound on what they keep resident, in MiB.
const SIZES: [(usize, Option<f64>); 4] = [(10, None), (100, None), (1_000, Some(64.0)), (10_000, Some(256.0))];
/// One commit among the most plans may cost so many times what it costs among the fewest.
const GROWTH: f64 = 2.0;
const FIRST_SYNC_MS: f64 = 8_000.0;
const RESTART_MS: f64 = 2_000.0;
const REPAIR_MEDIAN_MS: f64 = 30.0;
const REPAIR_P99_MS: f64 = 200.0;
/// How often one route is edited by hand: the fifth time is a fight.
const EDITS_MAX: usize = 4;
pub const IDLE: Duration = Duration::from_secs(180);
pub const IDLE_QUICK: Duration = Duration::from_secs(20);
pub const IDLE_PERCENT: f64 = 1.0;
/// Writes that are under way at once, as many as tidegate has.
const WRITES: usize = 32;

pub async fn measure(wanted: &Wanted, mesh: &Mesh, board: &mut Board) {
    let mut smallest: Option<Bed> = None;
    for (count, memory_mib) in SIZES {
        if !wanted.has(&format!("scale-{count}")) {
            continue;
        }
        let mut bed = Bed::start(mesh, &format!("scale-{count}"), count).await;
        let label = |what: &str| format!("{what}, {count} plans");
        let bounds = if count == 1_000 { vec![Bound::Median(FIRST_SYNC_MS)] } else { Vec::new() };
        board.show(&label("first sync (2 objects each)"), &once(bed.first_sync), &bounds);
        if count == 1_000 {
            let raw = raw_writes(mesh, &bed).await;
            board.show("the API server's own time for as many writes", &once(raw), &[]);
        }
        let mut commits = Samples::new(Unit::Milliseconds);
        let mut repairs = Samples::new(Unit::Milliseconds);
        for turn in 0..wanted.samples(200, 30) {
            commits.push_time(bed.change(turn).await);
        }
        mesh.calm().await;
        for turn in 0..wanted.samples(200, 30).min(bed.changed().len() * EDITS_MAX) {
            repairs.push_time(bed.edit_by_hand(mesh, turn).await);
        }
        board.show(&label("commit to live"), &commits, &[]);
        let bounds = [Bound::Median(REPAIR_MEDIAN_MS), Bound::P99(REPAIR_P99_MS)];
        board.show(&label("edit by hand to repaired"), &repairs, if count <= 1_000 { &bounds } else { &[] });
        mesh.calm().await;
        idle(&bed, wanted, board, memory_mib).await;
        let mut restarts = Samples::new(Unit::Milliseconds);
        for _ in 0..wanted.samples(5, 2) {
            restarts.push_time(bed.restart(mesh).await);
        }
        let bounds = if count == 1_000 { vec![Bound::Most(RESTART_MS)] } else { Vec::new() };
        board.show(&label("restart to ready"), &restarts, &bounds);
        match &mut smallest {
            None => smallest = Some(bed),
            Some(small) => {
                if count == 10_000 {
                    let growth = live::growth(small, &mut bed, wanted.samples(200, 30)).await;
                    board.show("one commit: 10,000 plans over 10, medians", &growth, &[Bound::Median(GROWTH)]);
                }
                bed.end(mesh).await;
            }
        }
    }
    if let Some(bed) = smallest {
        bed.end(mesh).await;
    }
}

/// What standing still costs: requests but watches, processor and memory.
async fn idle(bed: &Bed, wanted: &Wanted, board: &mut Board, memory_mib: Option<f64>) {
    let count = bed.names.len();
    let span = if wanted.quick { IDLE_QUICK } else { IDLE };
    let before = (bed.tidegate().cpu_s(), bed.tidegate().requests());
    tokio::time::sleep(span).await;
    // Before the page of metrics is asked for, which is not standing still.
    let resident = bed.tidegate().rss_mib();
    let used = (bed.tidegate().cpu_s() - before.0) / span.as_secs_f64() * 100.0;
    let asked = bed.tidegate().requests() - before.1;
    let label = |what: &str| format!("{what} at rest for {} s, {count} plans", span.as_secs());
    board.show(&label("API requests but watches"), &Samples::of(Unit::Count, asked), &[Bound::Most(0.0)]);
    let bound = [Bound::Most(IDLE_PERCENT)];
    let bounds = if count <= 1_000 { &bound[..] } else { &[] };
    board.show(&label("processor"), &Samples::of(Unit::Percent, used), bounds);
    let bound = memory_mib.map(Bound::Most);
    board.show(&label("resident memory"), &Samples::of(Unit::Mebibytes, resident), bound.as_slice());
}

/// As many objects of the same kinds and size, written by a plain client with as many requests at once.
async fn raw_writes(mesh: &Mesh, bed: &Bed) -> Duration {
    let into = &namespace(&mesh.client, "raw").await;
    let mut objects = Vec::new();
    for kind in ["DestinationRule", "VirtualService"] {
        let from = api(&mesh.client, &bed.namespace, "networking.istio.io/v1", kind);
        let model = from.get(&bed.names[0]).await.unwrap();
        let to = api(&mesh.client, into, "networking.istio.io/v1", kind);
        // Of hosts of its own, or tidegate would hold for another's claim.
        let text = model.data.to_string().replace(&bed.namespace, into);
        let spec: Value = serde_json::from_str(&text).unwrap();
        objects.extend(bed.names.iter().map(|name| (to.clone(), copy(&model, &spec, name))));
    }
    let begin = Instant::now();
    let written = stream::iter(objects).map(|(to, object)| async move {
        to.create(&PostParams::default(), &object).await.unwrap();
    });
    written.buffer_unordered(WRITES).collect::<()>().await;
    let took = begin.elapsed();
    mesh.clear(into).await;
    took
}

fn copy(model: &DynamicObject, spec: &Value, name: &str) -> DynamicObject {
    let mut copy = model.clone();
    copy.data.clone_from(spec);
    let (annotations, labels) = (copy.metadata.annotations.take(), copy.metadata.labels.take());
    copy.metadata = serde_json::from_value(json!({"name": name})).unwrap();
    // Nobody's: tidegate leaves it alone.
    copy.metadata.annotations = annotations.map(|annotations| {
        annotations.into_iter().map(|(key, value)| (key.replace("tidegate.dev", "copy"), value)).collect()
    });
    copy.metadata.labels = labels.map(|_| std::collections::BTreeMap::from([("copy".to_owned(), "yes".to_owned())]));
    copy
}

fn once(time: Duration) -> Samples {
    let mut samples = Samples::new(Unit::Milliseconds);
    samples.push_time(time);
    samples
}
