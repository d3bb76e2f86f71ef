//! A worker per route, woken by commit, object, endpoint or timer, and the loop that performs what it asks for.

mod announce;
mod backlog;
mod claims;
mod clock;
mod committer;
pub mod drafts;
mod due;
mod ending;
mod engine;
mod fights;
mod held;
pub mod history;
mod keys;
mod late;
mod links;
mod living;
mod marks;
mod mirror;
mod namespaces;
mod notes;
mod noting;
mod objects;
mod orphans;
mod outbox;
mod outlook;
mod packed;
mod perform;
mod plain;
pub mod plans;
mod report;
mod resource;
mod rest;
mod restores;
mod restoring;
mod run;
mod sight;
#[cfg(test)]
mod simulation;
mod standing;
mod tally;
#[cfg(test)]
mod tests;
mod timers;
mod trace;
mod view;
mod worker;

pub use clock::Clock;
pub use outlook::Still;
pub use packed::Packed;
pub use report::{Ask, ClusterReport, PlanReport, Position, Reached, Report, RepositoryReport};
pub use restoring::{RestoreOrder, RestoreState};
pub use run::{Ending, Options, run};
pub use sight::Sight;
pub use standing::{Standing, severity, status_list, status_schema};
pub use tally::{BOUNDS_S, Durations, Stage, Tally};
pub use worker::{Effect, Event, Live, News, Worker};
