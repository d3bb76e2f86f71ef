//! What tidegate commits after traffic went back: by the real binary, on a real API server and real repositories. Traffic
//! never waits for Git.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod bed;
mod landing;
mod notes;
mod outages;
#[path = "../support/process.rs"]
mod process;
mod rebuilt;
mod refusals;
mod stops;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tools.rs"]
mod tools;
