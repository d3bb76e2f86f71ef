//! `git revert` of any plan commit, by the real binary on a real API server: one test a case, each with the exact sequence
//! of weights that an independent watch saw from the commit on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod bed;
mod commits;
mod files;
mod gates;
mod images;
#[path = "../support/process.rs"]
mod process;
mod routing;
#[path = "../support/mod.rs"]
mod support;
#[path = "../scenarios/timeline.rs"]
#[allow(dead_code, reason = "each test binary uses its part of the timeline")]
mod timeline;
mod walks;
