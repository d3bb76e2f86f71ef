//! What integration tests share.
// Each test binary uses its own part, and helpers outside `#[test]` functions may panic as tests do.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod certificates;
pub mod controlplane;
pub mod envoy;
pub mod git_http;
pub mod istiod;
pub mod kubernetes;
pub mod load;
pub mod node;
pub mod relay;
pub mod repository;
pub mod signing;
pub mod sshd;
pub mod workloads;
pub mod world;
