//! A worker per route, woken by commit, object, endpoint or timer, and the loop that performs what it asks for.

mod announce;
mod claims;
mod clock;
mod due;
mod ending;
mod engine;
mod fights;
mod held;
mod links;
mod living;
mod marks;
mod objects;
mod orphans;
mod outlook;
mod perform;
mod plain;
pub mod plans;
mod report;
mod run;
#[cfg(test)]
mod tests;
mod timers;
mod view;
mod worker;

pub use clock::Clock;
pub use outlook::Still;
pub use report::{Ask, ClusterReport, PlanReport, Reached, Report, RepositoryReport};
pub use run::{Ending, Options, run};
pub use worker::{Effect, Event, Live, News, Sight, Worker};
