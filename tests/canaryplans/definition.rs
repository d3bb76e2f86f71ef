//! The definition of the resource, as deploy/ has it and as the API server takes it.

use std::path::Path;
use std::process::Command;

use crate::bed::Bed;

#[test]
fn the_definition_in_deploy_is_the_one_that_is_printed() {
    let printed = Command::new(env!("CARGO_BIN_EXE_tidegate")).args(["schema", "--crd"]).output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/base/crd.yaml");
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        std::fs::write(&path, &printed).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap();
    assert!(there == printed, "`TIDEGATE_BLESS=1 cargo test --test canaryplans definition` writes it anew");
}

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
