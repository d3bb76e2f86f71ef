//! Several replicas: only whoever holds the lease raises, and every one of them goes back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod back;
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
mod bed;
mod frozen;
mod handover;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../support/mod.rs"]
mod support;

/// Whoever measures a time that is near its bound has the machine alone; all others share it.
static MACHINE: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());
