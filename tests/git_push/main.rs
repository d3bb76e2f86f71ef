//! Commits that tidegate pushes to real repositories: on this machine, over HTTP and over SSH.
// Helpers outside `#[test]` functions may panic as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bed;
mod files;
mod landing;
#[path = "../support/mod.rs"]
mod support;
