//! A seeded simulation: the real worker against model API servers and a model Git, with a clock of its own, faults and
//! kills; every law is checked after every event.
//!
//! A seed draws a story (what happens, and when), the same seed gives the same run on every machine. Where a law breaks,
//! acts are left out as long as it still breaks, and what is left is told.
//!
//! The tests and the benchmark both use these files, so they see the crate as any other crate does.

#![allow(dead_code, unused_imports, reason = "the tests and the benchmark use a part each")]

mod acts;
mod api;
mod dice;
mod document;
mod ending;
mod eyes;
mod git;
mod lease;
mod ledger;
mod objects;
mod place;
mod position;
mod restores;
mod running;
mod serving;
mod story;
mod watches;
mod world;
mod wrote;

pub use api::Api;
pub use story::Story;
pub use world::{Broken, Tally};

use world::World;

/// Runs one story to its end.
///
/// # Errors
/// The first law that did not hold.
pub fn run(story: &Story) -> Result<Tally, Broken> {
    let mut world = World::new(story, false);
    world.end();
    match world.broken {
        Some(broken) => Err(broken),
        None => Ok(world.tally),
    }
}

/// The shortest part of a story that breaks the same law, and what happens in it, line by line.
pub fn shortest(story: &Story, law: &str) -> (Story, Vec<String>) {
    let breaks = |story: &Story| run(story).is_err_and(|broken| broken.law == law);
    let mut story = story.clone();
    // Without a plan there is no story.
    let mut place = 1;
    while place < story.acts.len() {
        let mut shorter = story.clone();
        let (gap_ms, _) = shorter.acts.remove(place);
        // What follows happens when it did.
        if let Some(next) = shorter.acts.get_mut(place) {
            next.0 += gap_ms;
        }
        if breaks(&shorter) {
            story = shorter;
        } else {
            place += 1;
        }
    }
    let mut world = World::new(&story, true);
    world.end();
    (story, world.trace())
}
