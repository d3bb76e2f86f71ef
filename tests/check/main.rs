//! `tidegate check` beside a real API server: what is live there, read by the real binary, is joined with the files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod beside;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/mod.rs"]
mod support;
