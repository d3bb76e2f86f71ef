//! From a revert, or from a person's stop, to the proven weights being live.

use std::time::{Duration, Instant};

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::json;

use crate::Wanted;
use crate::bed::Bed;
use crate::figures::{Board, Bound, Samples, Unit};
use crate::kubernetes::api;
use crate::mesh::Mesh;
use crate::plans::{path, plan};

const PLANS: usize = 100;
const BOUNDS: [Bound; 2] = [Bound::Median(50.0), Bound::P99(150.0)];
/// The step at which every plan stands when it goes back.
const STEP: u64 = 37;
const STOP: &str = "tidegate.dev/stop";
/// What a commit to a repository on this machine takes, with time to spare.
const LANDING: Duration = Duration::from_millis(200);

pub async fn measure(wanted: &Wanted, mesh: &Mesh, board: &mut Board) {
    let (reverts, stops) = (wanted.has("revert"), wanted.has("stop"));
    if !reverts && !stops {
        return;
    }
    let mut bed = Bed::start(mesh, "back", PLANS).await;
    let samples = wanted.samples(200, 40);
    if reverts {
        let mut times = Samples::new(Unit::Milliseconds);
        for turn in 0..samples {
            let name = standing(&mut bed, mesh, turn).await;
            let commit = bed.plans.prepare(&[bed.file(&name, 0)]);
            let begin = bed.plans.publish(commit);
            times.push_time(bed.live(begin, name, 0, turn).await);
        }
        board.show(&format!("revert to proven weights live, {PLANS} plans"), &times, &BOUNDS);
        mesh.calm().await;
    }
    if stops {
        let mut times = Samples::new(Unit::Milliseconds);
        let routes: Api<DynamicObject> = api(&mesh.client, &bed.namespace, "networking.istio.io/v1", "VirtualService");
        for turn in 0..samples {
            let name = standing(&mut bed, mesh, turn).await;
            let patch = Patch::Merge(json!({"metadata": {"annotations": {STOP: "bench: stop"}}}));
            routes.patch(&name, &PatchParams::default(), &patch).await.unwrap();
            times.push_time(bed.live(Instant::now(), name, 0, turn).await);
            // Meanwhile the plan is restored in the repository, and the annotation taken off.
            tokio::time::sleep(LANDING).await;
        }
        board.show(&format!("stop to proven weights live, {PLANS} plans"), &times, &BOUNDS);
        mesh.calm().await;
    }
    bed.end(mesh).await;
}

/// The plan whose turn it is, in mid-walk: at the begin of each round all are sent there.
async fn standing(bed: &mut Bed, mesh: &Mesh, turn: usize) -> String {
    if turn.is_multiple_of(PLANS) {
        mesh.calm().await;
        let step = format!("{{weight: {STEP}, hold: 1h}}");
        let file = |name: &String| (path(name), plan(&bed.namespace, name, 100, &[&step]));
        let commit = bed.plans.prepare(&bed.names.iter().map(file).collect::<Vec<_>>());
        bed.plans.publish(commit);
        let names = bed.names.clone();
        bed.watch.all_at(&names, STEP).await;
        mesh.calm().await;
    }
    bed.names[turn % PLANS].clone()
}
