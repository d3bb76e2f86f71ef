//! The configuration file of `tidegate run`: which repositories, which clusters, and how each of them is reached.
//!
//! ```text
//!  tidegate.yaml ─► follow (notify, bytes) ─► read ─► Configuration, or findings with their places
//! ```
//!
//! Only `follow.rs` touches the file system. A file that is wrong changes nothing: what was read before stays in force.

mod fields;
mod follow;
mod masked;
mod meshes;
mod read;
mod repositories;
#[cfg(test)]
mod tests;

pub use follow::{Broken, Seen, follow, look};
pub use read::{Configuration, configuration, schema};
pub use repositories::{Looks, PushCredentials, Repository};
