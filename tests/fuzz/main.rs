//! Mutates what strangers may send, and asserts what must hold of whatever comes out: no panic, little time, no more
//! output than input deserves, and a law of each target's own.
//!
//! Each target runs with a fixed seed, which CI repeats, and with a fresh one, which finds new ground; `--nocapture` prints
//! seeds and runs. `TIDEGATE_FUZZ_SECONDS=600` runs the fresh part longer, `TIDEGATE_FUZZ_SEED` gives it a seed. An input
//! that breaks a law is kept under `target/tmp/fuzz/`: put it into `corpus/<target>/`, which is always run first.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that fails")]

mod journal;
mod known_hosts;
mod kubeconfig;
mod mutate;
mod plan;
mod run;
mod webhook;
