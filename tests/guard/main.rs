//! A guard: the real binary beside one that raises, which is killed, frozen or cut off, before real API servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod alone;
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
#[path = "../lease/bed.rs"]
mod bed;
mod beside;
mod flags;
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
#[path = "../fleet/bed.rs"]
mod fleet;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../support/mod.rs"]
mod support;
mod two;

use std::time::Duration;

use bed::Bed;
use support::{certificates, controlplane, kubernetes, repository};

/// A guard goes back wherever it sees a journal, in the namespaces of other tests, too; and times are measured.
static MACHINE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// The walk stands at 10 until somebody says otherwise.
const SLOW: &str = "  steps: [{weight: 10, hold: 1h}]\n  traffic: {v2: 100}";
/// How long something is looked at that is not to move.
const STILL: Duration = Duration::from_secs(2);
/// A stop is answered in this time by a guard that is alone: half a second is whoever raises' own.
const STOPPED: Duration = Duration::from_millis(1_500);

/// The endpoints of `web`, where v2 has none that is ready, or has one again.
async fn serve_v2(bed: &Bed, ready: bool) {
    let pods = [("web-v1", "10.1.0.1"), ("web-v2", "10.1.0.2"), ("web-v3", "10.1.0.3")];
    let endpoints = pods.map(|(pod, ip)| {
        let is_ready = ready || pod != "web-v2";
        kubernetes::Endpoint { ready: Some(is_ready), ..kubernetes::Endpoint::of(pod, ip) }
    });
    kubernetes::endpoint_slice(&bed.client, &bed.namespace, "web", "web", &endpoints).await;
}

/// How often traffic went back, by the journal.
fn ways_back(bed: &Bed) -> usize {
    let back = tidegate::rollout::What::WentBack;
    bed.journal().unwrap().transitions.iter().filter(|there| there.what == back).count()
}
