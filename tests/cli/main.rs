//! Runs every command of the real binary as a person does, and looks at what is printed and how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod allow;
mod bad_files;
mod bad_live;
mod bed;
mod branches;
mod canned;
#[path = "../support/certificates.rs"]
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
mod certificates;
mod fleet;
mod fleet_stop;
#[path = "../support/git_http.rs"]
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
mod git_http;
mod history;
mod istio;
mod meshes;
mod outages;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/proxy.rs"]
mod proxy;
mod remote;
#[path = "../support/repository.rs"]
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
mod repository;
mod rollback;
mod schema;
#[path = "../support/signing.rs"]
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
mod signing;
#[path = "../support/sshd.rs"]
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
mod sshd;
mod standing;
mod stop;
mod surroundings;
mod switches;
mod trust;
mod usage;
