//! Faults of networks and servers, each injected while another repository is followed beside it.
//!
//! ```text
//!   follow ─► child ─► relay (fault) ─► git http-backend, sshd, or a server that lies
//!   follow ─► child ──────────────────► git http-backend        (the neighbour)
//! ```
//!
//! Every fault is typed, names the repository and has a hint; the neighbour's latency stays what it was; what the fault
//! stopped goes on by itself when it ends; and nothing is left: no process, no file descriptor, no half-written file.
// Helpers outside `#[test]` functions may panic as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod answers;
mod disk;
mod followed;
mod liars;
mod neighbour;
mod relay;
mod stages;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::repository::Repository;

/// One test at a time: each counts what the process has open.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A repository that is served, large enough for a fault in the midst of its pack.
fn plans() -> (Repository, PathBuf) {
    let repository = Repository::with(&[("plans/web.yaml", "1")]);
    // Bytes that no compression shortens.
    let mut seed = 20_261_121_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 56) as u8
    })
    .take(1 << 20)
    .collect();
    repository.write("noise", noise);
    repository.commit_all("Add noise");
    let bare = repository.bare();
    (repository, bare)
}

/// What this process holds open.
struct Held {
    children: usize,
    /// What descriptors lead to, but for those of the runtimes of tests that wait for their turn.
    open: BTreeSet<PathBuf>,
}

impl Held {
    fn now() -> Self {
        let all = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let open = all.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        let counts = |path: &PathBuf| !path.starts_with("/proc") && !path.to_string_lossy().starts_with("anon_inode:");
        Self { children: children().len(), open: open.filter(counts).collect() }
    }

    /// Waits until nothing is held that was not before; what ends takes a moment.
    async fn until_no_more_than(before: Self) {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let now = Self::now();
            let new: Vec<_> = now.open.difference(&before.open).collect();
            if now.children <= before.children && new.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "{} children and {new:?} are still held", now.children);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The children of this process that speak to the network, with their folders.
fn children() -> Vec<(i32, PathBuf)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
        let stat = String::from_utf8_lossy(&read("stat")).into_owned();
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split(' ').nth(2)).and_then(|id| id.parse().ok());
        let asked = read("cmdline").split(|byte| *byte == 0).any(|word| word == b"git-child");
        if parent == Some(std::process::id()) && asked {
            found.push((id, std::fs::read_link(entry.path().join("cwd")).unwrap_or_default()));
        }
    }
    found
}

/// What a killed or failed fetch may have left below a folder.
fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else if name.ends_with(".lock") || name.starts_with("tmp_") || name.contains("_git2_") {
                found.push(entry.path());
            }
        }
    }
    found
}
