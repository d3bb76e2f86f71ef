//! The walk from commit to traffic: what was reached, what is proven, and the one function that decides what is next.
//!
//! ```text
//!   World (plan, journals, live objects, endpoints) + instant ──► decide ──► Decision (goal per cluster, wake_at, reason)
//! ```
//!
//! Invariant: the decision depends on its arguments alone (law 5). Git is where people ask; the journal on the
//! VirtualService holds what was reached.

mod accept;
mod apart;
mod barrier;
mod bounds;
mod cause;
mod codec;
mod converge;
mod decide;
mod decision;
mod deflate;
mod drift;
mod elsewhere;
mod failed;
mod failing;
mod failure;
mod fight;
mod gates;
mod guard;
mod images;
mod journal;
mod lease;
mod newcomer;
mod noted;
mod packs;
mod proxies;
mod reason;
mod restore;
mod runs;
mod sentence;
mod sight;
mod stop;
mod subsets;
mod transition;
mod walk;
mod world;

pub use apart::Apart;
pub use codec::{JOURNAL, JOURNAL_MAX_BYTES, JournalError, MANAGED_BY, OWNER, STOP, SUBSETS, WAY_BACK};
pub use decide::decide;
pub use decision::{Apply, Decision, Goal};
pub use deflate::{deflate, deflate_quickly, inflate};
pub use drift::exposes;
pub use elsewhere::Elsewhere;
pub use failed::{FAILED_MAX, FailedKey, Retry};
pub use fight::{FIGHT_CORRECTIONS, FIGHT_QUIET_S, FIGHT_WINDOW_S, Fight};
pub use images::{Image, ImageChange, Images};
pub use journal::{Cause, Journal, Owner, Phase, Proof, SETTLED_MAX, Settled, State, TRANSITIONS_MAX, UnderTest};
pub use lease::Lease;
pub use noted::Noted;
pub use proxies::{Proxies, Taken};
pub use reason::Reason;
pub use restore::Restore;
pub use sight::{is_marked, is_ours};
pub use stop::{Answered, on as stop_on};
pub use transition::{Transition, What};
pub use walk::{Next, at, next, total};
pub use world::{Altered, ClusterName, ClusterView, Endpoints, GitSight, Settings, Wanted, World};
