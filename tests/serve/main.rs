//! Asks the real binary over HTTP while it works on a real API server, and pushes at it as forges do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod client;
#[path = "../support/controlplane.rs"]
mod controlplane;
mod events;
#[path = "../support/kubernetes.rs"]
mod kubernetes;
mod limits;
mod metrics;
mod probes;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/proxy.rs"]
mod proxy;
mod readiness;
#[path = "../support/repository.rs"]
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
mod repository;
mod running;
#[path = "../cli/schema.rs"]
mod schema;
#[path = "../crash/shop.rs"]
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
mod shop;
mod webhooks;
