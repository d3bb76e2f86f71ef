//! tidegate syncs canary plans from a Git repository into Istio, step by step, and reverts by commit.
//!
//! ```text
//!   git ──► plan ──► rollout::decide ──► istio (edits) ──► cluster (compare-and-swap)
//!                        ▲                                        │
//!                        └──────────── observation ◄──────────────┘
//! ```
//!
//! Three rooms are pure: they do no I/O and read no clock.
//! - [`plan`]: text → [`plan::Plan`], valid by construction, or findings with their place.
//! - [`rollout`]: the walk: journal, proof, way back, and the one function that decides.
//! - [`istio`]: Istio objects as JSON values: lens, desired, diff, patches and their order.
//!
//! The others are the shell.
//! - [`git`]: a bare mirror of a plan repository, polled and watched.
//! - [`config`]: the configuration file: which clusters there are, and how each is reached.
//! - [`cluster`]: a client per context, watch caches, writes.
//! - [`reconcile`]: a worker per route without I/O, and the loop that performs what it asks for.
//! - [`failpoint`]: where a test lets the process die.
//! - [`sandbox`]: an in-memory API server over HTTP for the demo and the tests.
//! - [`serve`]: health, metrics and status over HTTP, and push webhooks.
//! - [`cli`]: one file a command.
#![forbid(unsafe_code)]

// The simulation names the crate as the benchmark does.
#[cfg(test)]
extern crate self as tidegate;

pub mod cli;
pub mod cluster;
pub mod config;
pub mod failpoint;
pub mod git;
pub mod istio;
pub mod plan;
pub mod reconcile;
pub mod rollout;
#[cfg(test)]
pub(crate) mod sabotage;
pub mod sandbox;
pub mod serve;
