//! Hands, tools and admission against the real binary on a real API server: what is put back, how fast, and who is named.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod bed;
#[path = "../support/controlplane.rs"]
mod controlplane;
mod damage;
mod fights;
#[path = "../support/kubernetes.rs"]
mod kubernetes;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/repository.rs"]
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
mod repository;
