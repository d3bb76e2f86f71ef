//! Keeps a bare mirror of a plan repository and tells what changed in its plans folder, and when.
//!
//! ```text
//!   hints (notify) ─┐
//!   asked (webhook) ┤
//!   interval ───────┼─► follow: one thread ─► Reader ─► Mirror ─► Transport ─► repository
//!   back-off ───────┘        │                  └ bytes   └ trees, history
//!                            └─► Seen { at, outcome } over a channel
//! ```
//!
//! A hint is a reason to look, never evidence of what changed. Only `transport.rs` and `net` know how a repository is
//! reached: on this machine by reading it, over the network by a child process.

mod access;
mod blobs;
mod commit;
mod copy;
mod error;
mod history;
mod judge;
mod location;
mod meter;
mod mirror;
mod net;
mod poll;
mod publish;
mod snapshot;
mod source;
mod transport;
mod tree;
mod trust;
mod upkeep;
mod verify;
mod watch;

pub use access::{Access, Limits, Secret, TOKEN_VARIABLE};
pub use commit::{Commit, reverted, trailer};
pub use error::GitError;
pub use history::FileVersion;
pub use location::{Location, Place, Scheme};
pub use meter::{GitMeter, Operation};
pub use mirror::{Look, Mirror, Moved, holds_commit};
pub use net::{Child, Fault, KnownHost};
pub use poll::{Seen, follow};
pub use publish::{
    Author, Changes, Draft, Files, KeyError, Note, Notes, Position, Preview, PublishError, PublishOptions, Published,
    Publisher, PushError, SigningKey,
};
pub use snapshot::{Change, Content, FILE_BYTES_MAX, Reader, Sight, Snapshot, Version};
pub use source::{Source, SourceError};
pub use transport::{Local, Tip, Transport};
pub use tree::{FileEntry, FileKind};
pub use trust::{HistoryPolicy, Objection, Refused, Trust, Verify, VerifyMode};
pub use verify::{KeysError, Why, check_keys};
pub use watch::{Hints, hints};
