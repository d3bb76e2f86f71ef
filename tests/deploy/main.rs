//! Holds deploy/ to what it promises: what is rendered, what the API server takes, and that the rights are enough and
//! nothing more.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that fails")]

mod clusters;
#[path = "../support/controlplane.rs"]
mod controlplane;
mod guard;
mod image;
#[path = "../support/kubernetes.rs"]
mod kubernetes;
mod monitoring;
mod pod;
#[path = "../support/proxy.rs"]
mod proxy;
mod render;
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
#[path = "../support/repository.rs"]
mod repository;
mod rights;
mod story;
#[path = "../support/tools.rs"]
mod tools;
mod verbs;
mod world;

use std::path::{Path, PathBuf};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}
