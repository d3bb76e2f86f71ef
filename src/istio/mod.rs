//! Istio objects as untyped JSON values: lens, desired state, minimal edits and their order.
//!
//! ```text
//!   Routing + Traffic ─► desired ─┐
//!                                 ├─► diff ─► patch ─► Edit ─► order: the one to write now
//!   live object ───────► lens ────┘                    └─────► text: the same for people
//! ```

pub mod desired;
mod diff;
mod edit;
mod exposure;
#[cfg(test)]
pub(crate) mod fixtures;
mod json;
pub mod lens;
mod order;
mod patch;
pub mod rules;
mod seal;
mod shares;
mod text;
mod way_back;
mod writers;

pub use desired::{destination_rule, virtual_service};
pub use diff::{Drift, altered_at, drift, matches_meant};
pub use edit::{Change, Edit, ObjectKind};
pub use exposure::{route_strays, subsets_stray};
pub use order::{Next, OrderView, next};
pub use patch::{Marks, Owned, delete_edit, destinations_edit, marks_edit, route_edit, route_meant};
pub use seal::{SEAL, broken_by, can_land, left_out, seal_edit};
pub use shares::{LiveShares, live_shares};
pub use text::unified;
pub use way_back::way_back;
pub use writers::{Writer, last_writer};
