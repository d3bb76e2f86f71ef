//! An in-memory Kubernetes API server on loopback, for the demo and the tests, which answers as a real one does.
//!
//! ```text
//!   request ─► server ─► path ─► reads ────► state (objects, history, one counter of versions)
//!                │        │  └─► writes ─► write ─► state ─► watch (a stream per watcher)
//!              faults  discovery          (patch, owners, validate)
//! ```
//!
//! It knows the rows of one table, `resource`, and no others. What it leaves out on purpose: defaults and most of the
//! validation of built-in kinds, the pruning of fields that Istio's schema lacks, controllers (a namespace is emptied at
//! once, Services get no endpoints), admission, RBAC.

mod answer;
mod discovery;
mod faults;
mod history;
mod object;
mod owners;
mod patch;
mod path;
mod reads;
mod refusal;
mod resource;
mod selector;
mod server;
mod state;
mod store;
mod validate;
mod watch;
mod wire;
mod write;
mod writes;

pub use faults::{Effect, Fault, Verb, Verbs};
pub use refusal::Refusal;
pub use server::{Options, Server};
pub use store::Store;
