//! The definition of the resource, as kubectl tells it from the API server.

use crate::bed::Bed;

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_explains_every_part_of_a_plan() {
    let bed = Bed::open().await;
    let steps = bed.kubectl(&["explain", "cplan.spec.steps"]);
    assert!(steps.contains("weight") && steps.contains("percent that the rising versions get together"), "{steps}");
    let status = bed.kubectl(&["explain", "cplan.status", "--recursive"]);
    for field in ["observedGeneration", "lastTransitionTime", "nextTransition", "wayBack", "findings"] {
        assert!(status.contains(field), "{field}: {status}");
    }
}
