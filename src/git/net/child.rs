//! The process that speaks to the network for one repository, so that whatever hangs, leaks or breaks in there can be killed.

use std::io::{self, Read, Write};

use git2::transport::Transport;
use git2::{Direction, Oid, Remote, Repository};
use rustix::process::{Resource, Rlimit, Signal};

use super::Fault;
use super::session::{Session, WEB_SCHEME};
use super::web::{Shared, Subtransport};
use super::wire::{self, Answer, Look, Push, Request};

/// The argument that makes a process this one.
pub(super) const ARGUMENT: &str = "git-child";

/// The most memory of its own, in bytes; files that are mapped do not count. Less than a container's usual limit, above which
/// the parent would be ended, too.
const MEMORY_BYTES_MAX: u64 = 384 << 20;

/// How much larger a file may be than a fetch: the index beside a pack grows with the objects.
const FILE_BYTES_MORE: u64 = 64 << 20;

/// A child before it begins.
#[derive(Default)]
pub struct Child {
    web: Shared,
}

impl Child {
    /// The scheme that libgit2 has to find [`transport`](Self::transport) under.
    pub const SCHEME: &'static str = WEB_SCHEME;

    /// The child, if this process was started as one.
    pub fn asked() -> Option<Self> {
        let mut arguments = std::env::args_os().skip(1);
        let asked = arguments.next().is_some_and(|word| word == ARGUMENT) && arguments.next().is_none();
        asked.then(Self::default)
    }

    /// Makes what carries libgit2's protocol over HTTP.
    pub fn transport(&self) -> impl Fn(&Remote<'_>) -> Result<Transport, git2::Error> + Send + Sync + use<> {
        let web = self.web.clone();
        move |remote| Transport::smart(remote, true, Subtransport(web.clone()))
    }

    /// Answers what comes on standard input until it ends; errs where the pipe breaks or a limit cannot be set.
    pub fn run(self) -> io::Result<()> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        limit(Resource::Data, MEMORY_BYTES_MAX)?;
        let (mut requests, mut answers) = (io::stdin().lock(), io::stdout().lock());
        let mut next = wire::read(&mut requests)?;
        while let Some(request) = next {
            next = match request {
                Request::Look(look) => {
                    limit(Resource::Fsize, look.bytes_max.saturating_add(FILE_BYTES_MORE))?;
                    self.converse(&look, &mut requests, &mut answers)?
                }
                Request::Fetch => {
                    let how = "was asked to fetch before it looked".to_owned();
                    wire::write(&mut answers, &Answer::Failed(Fault::Died { how }))?;
                    wire::read(&mut requests)?
                }
                Request::Push(push) => {
                    wire::write(&mut answers, &self.push(&push).without(&push.look.keys))?;
                    wire::read(&mut requests)?
                }
            };
        }
        Ok(())
    }

    /// Looks, fetches if asked to, and returns what is asked next. The connection ends with it.
    fn converse(&self, look: &Look, requests: &mut impl Read, answers: &mut impl Write) -> io::Result<Option<Request>> {
        let session = Session::new(look, &self.web);
        let mut say = |answer: Answer| wire::write(answers, &answer.without(&look.keys));
        let repository = match Repository::open_bare(&look.mirror) {
            Ok(repository) => repository,
            Err(error) => {
                say(Answer::Broken(super::fault::words(error.message())))?;
                return wire::read(requests);
            }
        };
        let mut remote = match session.remote(&repository) {
            Ok(remote) => remote,
            Err(fault) => {
                say(Answer::Failed(fault))?;
                return wire::read(requests);
            }
        };
        let mut connection = match session.connect(&mut remote, Direction::Fetch) {
            Ok(connection) => connection,
            Err(fault) => {
                say(Answer::Failed(fault))?;
                return wire::read(requests);
            }
        };
        let answer = session.tip(&connection);
        let tip = match &answer {
            Answer::At(tip) if look.stands.as_ref() != Some(tip) => Oid::from_str(tip).ok(),
            _ => None,
        };
        say(answer)?;
        let Some(tip) = tip else {
            drop(connection);
            return wire::read(requests);
        };
        let next = wire::read(requests)?;
        if !matches!(next, Some(Request::Fetch)) {
            return Ok(next);
        }
        say(session.fetch(&repository, &mut connection, tip))?;
        drop(connection);
        wire::read(requests)
    }

    /// Pushes over a connection of its own.
    fn push(&self, push: &Push) -> Answer {
        let session = Session::new(&push.look, &self.web);
        let repository = match Repository::open_bare(&push.look.mirror) {
            Ok(repository) => repository,
            Err(error) => return Answer::Broken(super::fault::words(error.message())),
        };
        let mut remote = match session.remote(&repository) {
            Ok(remote) => remote,
            Err(fault) => return Answer::Failed(fault),
        };
        match session.connect(&mut remote, Direction::Push) {
            Ok(mut connection) => session.push(&mut connection, push),
            Err(fault) => Answer::Failed(fault),
        }
    }
}

/// Sets the soft limit; the hard one stays, as the next look may allow more.
fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let maximum = rustix::process::getrlimit(resource).maximum;
    let current = Some(maximum.map_or(most, |maximum| maximum.min(most)));
    Ok(rustix::process::setrlimit(resource, Rlimit { current, maximum })?)
}
