//! A quorum of clusters goes on by a step while one does not answer.

use crate::bed::{EAST, Fleet, WEST};

const V1: &str = "  traffic: {v1: 100}";

fn walk(quorum: u32) -> String {
    format!(
        "  steps: [{{weight: 10, hold: 3s}}, {{weight: 50, hold: 2s}}]\n  settle: {{hold: 0s}}\n  barrier: {{quorum: \
         {quorum}}}\n  traffic: {{v2: 100}}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn law_07_a_cluster_that_is_killed_is_left_behind_by_one_step_and_enters_it_when_it_answers() {
    let fleet = Fleet::breaking(&[WEST], "quorum", &[EAST, WEST]).await;
    let _process = fleet.start(&[EAST, WEST]);
    fleet.plan(V1);
    fleet.until_settled(&[("v1", 100)]).await;
    fleet.plan(&walk(1));
    fleet.until(&[EAST, WEST], 10).await;
    fleet.stop(WEST);
    fleet.until_live(EAST, 50).await;
    fleet.until_reason("ClusterAway", "cluster west does not answer since").await;
    fleet.stays(EAST, 50).await;
    fleet.restart(WEST).await;
    fleet.until_settled(&[("v2", 100)]).await;
    assert_eq!(fleet.walk(EAST), [0_u64, 10, 50, 100]);
    fleet.repository.revert("HEAD");
    fleet.until_settled(&[("v1", 100)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn law_08_without_a_quorum_nothing_rises_and_a_revert_reaches_all_that_answer() {
    let fleet = Fleet::breaking(&[WEST], "quorate", &[EAST, WEST]).await;
    let _process = fleet.start(&[EAST, WEST]);
    fleet.plan(V1);
    fleet.until_settled(&[("v1", 100)]).await;
    fleet.plan(&walk(2));
    fleet.until(&[EAST, WEST], 10).await;
    fleet.stop(WEST);
    fleet.until_reason("ClusterAway", "cluster west does not answer since").await;
    fleet.stays(EAST, 10).await;
    fleet.repository.revert("HEAD");
    fleet.until_live(EAST, 0).await;
    fleet.restart(WEST).await;
    fleet.until_settled(&[("v1", 100)]).await;
    assert_eq!(fleet.walk(EAST), [0_u64, 10, 0]);
}
