//! Breaks on purpose what the simulation must notice; exists in tests alone.

use std::cell::Cell;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// Proof does not fall on a way back.
    ProofStays,
    /// Git is asked to follow before traffic has moved.
    GitBeforeTraffic,
    /// A later wave of clusters does not wait for the one before it.
    WavesAtOnce,
    /// Other images behind a label that a walk is raising are not noticed.
    ImagesIgnored,
    /// Subsets go before the weights that need them.
    SubsetsBeforeWeights,
}

thread_local!(static PRESENT: Cell<Option<Sabotage>> = const { Cell::new(None) });

/// Whether this is broken now, on this thread.
pub(crate) fn is(sabotage: Sabotage) -> bool {
    PRESENT.get() == Some(sabotage)
}

/// Breaks it while `work` runs.
pub(crate) fn with<T>(sabotage: Sabotage, work: impl FnOnce() -> T) -> T {
    PRESENT.set(Some(sabotage));
    let done = work();
    PRESENT.set(None);
    done
}
