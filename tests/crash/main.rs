//! Kills, ends and times the real binary before a real API server: a crash anywhere is harmless.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "../support/controlplane.rs"]
mod controlplane;
mod ending;
mod failpoints;
mod holds;
mod kills;
#[path = "../support/kubernetes.rs"]
mod kubernetes;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../support/repository.rs"]
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
mod repository;
mod shop;

/// Held by whoever kills and starts processes; what measures time takes it alone.
static MACHINE: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());
