//! Reaches repositories over the network, in a child process that can be killed.
//!
//! ```text
//!   Remote (parent) ──► wire (pipe) ──► Child ──► Session ──► libgit2 ──┬─► Web (HTTP, own client) ──► dial, tls
//!      deadline, kill                     │                             └─► libssh2 ◄── known_hosts
//!                                         └──► objects into the mirror; references are the parent's
//! ```
//!
//! libgit2 blocks, leaks, and maps files that a full disk then takes away. Whatever happens to the child, the parent gets
//! a [`Fault`] within its deadline, and half of a pack is only ever a temporary file.

mod body;
mod child;
mod dial;
mod fault;
mod known_hosts;
mod redact;
mod remote;
mod session;
mod tls;
mod web;
mod wire;

use super::{Tip, Transport};

pub use child::Child;
pub use fault::Fault;
pub use known_hosts::KnownHost;
pub(super) use remote::Remote;
pub(super) use wire::{Basic, Client, Keys, Proxy, Rejection, SshKeys};
