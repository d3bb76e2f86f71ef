//! Reaches the repository that is pushed to: to look, to fetch, and to move a reference.

use git2::Repository;

use super::target::Target;
use super::{Order, PushError, Pushed};
use crate::git::net::Remote;
use crate::git::transport::{Local, Reference};
use crate::git::{Location, Source, Transport};

/// The repository, on this machine or behind a child process.
pub(super) enum Reach {
    Local(Box<Source>, Target),
    Remote(Box<Remote>),
}

impl Reach {
    pub(super) fn of(source: &Source) -> Self {
        match &source.location {
            Location::Local(path) => Self::Local(Box::new(source.clone()), Target::new(path, &source.location)),
            Location::Network(place) => {
                Self::Remote(Box::new(Remote::new(place, &source.access, Reference::branch(&source.branch))))
            }
        }
    }

    /// What the mirror follows the branch by.
    pub(super) fn transport(&self) -> Box<dyn Transport> {
        match self {
            Self::Local(source, target) => Box::new(Local::new(source, target.path())),
            Self::Remote(remote) => remote.clone(),
        }
    }

    /// Moves a reference, if it stands where the order was built upon.
    pub(super) fn push(&self, mirror: &Repository, order: &Order) -> Result<Pushed, PushError> {
        match self {
            Self::Local(_, target) => target.push(mirror, order),
            Self::Remote(remote) => remote.push(mirror, order).map_err(PushError::of_push),
        }
    }

    /// Ends whatever runs for it.
    pub(super) fn rest(&self) {
        if let Self::Remote(remote) = self {
            remote.rest();
        }
    }
}
