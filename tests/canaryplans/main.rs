//! Shows plans as CanaryPlan resources on a real API server, to the real kubectl.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod absent;
mod bed;
#[path = "../support/controlplane.rs"]
mod controlplane;
mod definition;
#[path = "../support/kubernetes.rs"]
mod kubernetes;
mod many;
#[path = "../support/process.rs"]
mod process;
mod refused;
#[path = "../support/repository.rs"]
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
mod repository;
mod server;
#[path = "../support/tools.rs"]
mod tools;
mod walk;
