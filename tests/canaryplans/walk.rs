//! A plan that walks, as kubectl sees it.

use crate::bed::{Bed, condition, kstatus};

const STEPS: &str = "from: {v1: 100}\n  steps: [{name: first-light, weight: 10, hold: 3s}, {weight: 50, hold: 3s}]";

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_follows_a_plan_from_step_to_step() {
    let bed = Bed::open().await;
    bed.plan(&format!("{STEPS}\n  traffic: {{v1: 100}}"));
    let _process = bed.start(&[]);
    let settled = bed.until_reason("web", "Settled").await;
    assert_eq!(kstatus(&settled), "Current", "{settled:#}");
    eprintln!("{}", serde_json::to_string_pretty(&settled).unwrap());
    eprintln!("{}", bed.plane.kubectl(&["get", "canaryplans", "-A"]));
    eprintln!("{}", bed.kubectl(&["get", "cplan", "-o", "wide"]));
    bed.plan(&format!("{STEPS}\n  traffic: {{v2: 100}}"));
    let walking = bed.until("web", "walking", |web| web["status"]["phase"] == "Walking").await;
    assert_eq!(kstatus(&walking), "InProgress", "{walking:#}");
    eprintln!("{}", serde_json::to_string_pretty(&walking).unwrap());
    eprintln!("{}", bed.kubectl(&["wait", "--for=condition=Ready", "canaryplan/web", "--timeout=60s"]));
    for write in bed.writes() {
        eprintln!("{write:?}");
    }
    assert_eq!(condition(&bed.resource("web"), "Ready")["status"], "True");
}
