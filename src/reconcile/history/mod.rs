//! Tells a plan's history: what each commit asked for, from Git, and what came of it, from the journal.
//!
//! ```text
//! first-parent commits ─► asked (what the document said) ─┐
//! journal (transitions, settled states) ──────────────────┴─► chapters (what came of each)
//! ```

mod asked;
mod chapter;
mod json;

pub use asked::{Asked, Asking, Said, asked};
pub use chapter::{Chapter, Outcome, Undone, chapters};
pub use json::{history_json, history_schema};
