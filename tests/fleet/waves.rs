//! Clusters that enter each step one after the other, and failures in one of them alone.

use std::time::Duration;

use crate::bed::{EAST, Fleet, WEST};

const V1: &str = "  traffic: {v1: 100}";
const HOLD: Duration = Duration::from_secs(2);

fn ordered(steps: &str, order: &str) -> String {
    format!("  steps: [{steps}]\n  settle: {{hold: 0s}}\n  waves: {order}\n  traffic: {{v2: 100}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn law_07_the_second_wave_gets_a_step_once_the_first_has_held_it() {
    let fleet = Fleet::open("waves", &[EAST, WEST]).await;
    let process = fleet.start(&[EAST, WEST]);
    fleet.plan(V1);
    fleet.until_settled(&[("v1", 100)]).await;
    fleet.plan(&ordered("{weight: 10, hold: 2s}, {weight: 50, hold: 2s}", "[[west], [east]]"));
    fleet.until(&[EAST, WEST], 10).await;
    // What the waves have reached is in the journals.
    drop(process);
    let _process = fleet.start(&[EAST, WEST]);
    fleet.until_settled(&[("v2", 100)]).await;
    for cluster in [EAST, WEST] {
        assert_eq!(fleet.walk(cluster), [0_u64, 10, 50, 100], "{cluster}");
    }
    for weight in [10, 50] {
        let (first, second) = (fleet.got(WEST, weight), fleet.got(EAST, weight));
        assert!(second - first >= HOLD, "{weight}: the second wave followed after {:?}", second - first);
    }
    assert!(fleet.got(WEST, 50) - fleet.got(EAST, 10) >= HOLD, "the next step waits for the last wave");
    fleet.repository.revert("HEAD");
    fleet.until_settled(&[("v1", 100)]).await;
    let (first, last) = fleet.last(0);
    assert!(last - first < Duration::from_secs(1), "a revert knows no order: {:?}", last - first);
}

#[tokio::test(flavor = "multi_thread")]
async fn law_03_a_step_that_fails_in_the_first_wave_never_reaches_the_second() {
    let fleet = Fleet::open("first", &[EAST, WEST]).await;
    let _process = fleet.start(&[EAST, WEST]);
    fleet.plan(V1);
    fleet.until_settled(&[("v1", 100)]).await;
    fleet.plan(&ordered("{weight: 10, hold: 20s}, {weight: 50, hold: 20s}", "[[east], [west]]"));
    fleet.until_live(EAST, 10).await;
    let status = fleet.status().await;
    for (plan, here) in status["plans"].as_array().unwrap().iter().zip([true, false]) {
        assert_eq!(plan["wave"], serde_json::json!({"reached": 1, "of": 2, "here": here}), "{status:#}");
    }
    assert!(fleet.status_table().await.contains("10 (wave 1 of 2, not here)"));
    fleet.fail(EAST).await;
    fleet.until_live(EAST, 0).await;
    fleet.until_reason("WentBack", "went back: version v2 in cluster east had no ready endpoint").await;
    fleet.stays(WEST, 0).await;
    assert_eq!(fleet.walk(EAST), [0_u64, 10, 0]);
    assert_eq!(fleet.walk(WEST), [0_u64], "the weights of v2 in the second wave, by a watch of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_in_one_cluster_alone_is_taken_back_there_alone_where_the_plan_says_so() {
    let fleet = Fleet::open("partial", &[EAST, WEST]).await;
    let _process = fleet.start(&[EAST, WEST]);
    fleet.plan(V1);
    fleet.until_settled(&[("v1", 100)]).await;
    fleet.plan("  steps: [{weight: 10, hold: 1h}]\n  onPartial: rollback-failed\n  traffic: {v2: 100}");
    fleet.until(&[EAST, WEST], 10).await;
    fleet.fail(WEST).await;
    fleet.until_live(WEST, 0).await;
    fleet.until_reason("FailureHeld", "failed: version v2 in cluster west had no ready endpoint").await;
    fleet.stays(EAST, 10).await;
    fleet.repository.revert("HEAD");
    fleet.until_settled(&[("v1", 100)]).await;
    assert_eq!((fleet.walk(EAST), fleet.walk(WEST)), (vec![0, 10, 0], vec![0, 10, 0]));
}
