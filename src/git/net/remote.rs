//! Asks the child, with a deadline for every answer, and starts another one where it ended or had to be killed.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use git2::{Oid, Repository};

use super::child::ARGUMENT;
use super::wire::{self, Answer, Look, Push, Request};
use super::{Fault, Tip, Transport};
use crate::git::publish::{Order, Pushed};
use crate::git::transport::Reference;
use crate::git::{Access, GitError, Place};

/// This program, also after its file was replaced.
const SELF: &str = "/proc/self/exe";

/// What of the environment the child is given: where the system's authorities are, if not in their usual place.
const ENVIRONMENT: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// A repository that a child process speaks to; its clones share the child.
#[derive(Clone)]
pub(in crate::git) struct Remote {
    place: Place,
    reference: Reference,
    access: Access,
    child: Arc<Mutex<Option<Running>>>,
}

/// A child that runs; dropped, it is killed.
struct Running {
    process: std::process::Child,
    requests: mpsc::Sender<Request>,
    answers: mpsc::Receiver<io::Result<Option<Answer>>>,
}

impl Remote {
    pub(in crate::git) fn new(place: &Place, access: &Access, reference: Reference) -> Self {
        Self { place: place.clone(), reference, access: access.clone(), child: Arc::default() }
    }

    /// Ends the child, until something is asked again.
    pub(in crate::git) fn rest(&self) {
        drop(self.running().take());
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves a reference, if it stands where the order was built upon.
    pub(in crate::git) fn push(&self, mirror: &Repository, order: &Order) -> Result<Pushed, GitError> {
        let look = self.question(mirror, &order.reference, None)?;
        let (onto, commit) = (order.onto.map(|id| id.to_string()), order.commit.to_string());
        let push = Request::Push(Box::new(Push { look, onto, commit }));
        match self.ask(mirror.path(), push, self.access.limits.fetch)? {
            Answer::Pushed => Ok(Pushed::Landed),
            Answer::Elsewhere => Ok(Pushed::Elsewhere),
            Answer::Rejected(rejection) => Ok(Pushed::Rejected(rejection)),
            _ => Err(self.odd()),
        }
    }

    fn question(&self, mirror: &Repository, from: &str, stands: Option<Oid>) -> Result<Look, GitError> {
        Ok(Look {
            place: self.place.clone(),
            from: from.to_owned(),
            mirror: mirror.path().to_owned(),
            reference: self.reference.kept.clone(),
            stands: stands.map(|id| id.to_string()),
            keys: self.access.keys(&self.place).map_err(|fault| self.failed(fault))?,
            bytes_max: self.access.limits.bytes,
            objects_max: self.access.limits.objects,
        })
    }

    fn failed(&self, fault: Fault) -> GitError {
        GitError::Network { location: self.place.to_string(), fault: Box::new(fault) }
    }

    /// The child that runs, or another; its home is a folder beside the mirror.
    fn child(&self, running: Option<Running>, mirror: &Path) -> Result<Running, Fault> {
        if let Some(mut running) = running
            && !running.has_ended()
        {
            return Ok(running);
        }
        let home = mirror.parent().unwrap_or(mirror).join("home");
        let program = self.access.program.clone().unwrap_or_else(|| PathBuf::from(SELF));
        start(&program, &home).map_err(|error| Fault::Died { how: format!("cannot start: {error}") })
    }

    fn ask(&self, mirror: &Path, request: Request, limit: Duration) -> Result<Answer, GitError> {
        let mut running = self.running();
        let answer = self.child(running.take(), mirror).and_then(|child| {
            let answer = match child.requests.send(request) {
                Err(_) => Err(None),
                Ok(()) => match child.answers.recv_timeout(limit) {
                    Ok(Ok(Some(answer))) => Ok(answer),
                    Err(mpsc::RecvTimeoutError::Timeout) => Err(Some(Fault::Timeout { limit_s: limit.as_secs() })),
                    Ok(Ok(None) | Err(_)) | Err(mpsc::RecvTimeoutError::Disconnected) => Err(None),
                },
            };
            match answer {
                Ok(answer) => {
                    *running = Some(child);
                    Ok(answer)
                }
                Err(fault) => {
                    let status = child.end();
                    Err(fault.unwrap_or_else(|| died(status)))
                }
            }
        });
        drop(running);
        match answer.map_err(|fault| self.failed(fault))? {
            Answer::Failed(fault) => Err(self.failed(fault)),
            Answer::Broken(words) => Err(GitError::Mirror(git2::Error::from_str(&words))),
            answer => Ok(answer),
        }
    }

    fn odd(&self) -> GitError {
        self.failed(Fault::Died { how: "answered what was not asked".to_owned() })
    }

    fn oid(&self, id: &str) -> Result<Oid, GitError> {
        Oid::from_str(id).map_err(|_| self.odd())
    }
}

impl Transport for Remote {
    fn tip(&mut self, mirror: &Repository, stands: Option<Oid>) -> Result<Tip, GitError> {
        let look = self.question(mirror, &self.reference.theirs, stands)?;
        match self.ask(mirror.path(), Request::Look(Box::new(look)), self.access.limits.look)? {
            Answer::At(id) => Ok(Tip::At(self.oid(&id)?)),
            Answer::Gone(branches) => Ok(Tip::Gone { branches }),
            Answer::Empty => Ok(Tip::Empty),
            _ => Err(self.odd()),
        }
    }

    fn fetch(&mut self, mirror: &Repository, _tip: Oid) -> Result<Oid, GitError> {
        match self.ask(mirror.path(), Request::Fetch, self.access.limits.fetch)? {
            Answer::Fetched { tip, much } => {
                if much {
                    self.rest();
                }
                Ok(mirror.find_commit(self.oid(&tip)?)?.id())
            }
            _ => Err(self.odd()),
        }
    }
}

impl Running {
    fn has_ended(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// Kills it and says how it had ended, if it had ended by itself.
    fn end(mut self) -> Option<ExitStatus> {
        // A pipe ends a moment before its process does.
        std::thread::sleep(Duration::from_millis(5));
        let ended = self.process.try_wait().ok().flatten();
        drop(self);
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Errs only if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn start(program: &Path, home: &Path) -> io::Result<Running> {
    std::fs::create_dir_all(home)?;
    let mut command = Command::new(program);
    command.arg0("tidegate").arg(ARGUMENT).env_clear().env("HOME", home).current_dir(home);
    // Ctrl-C in a terminal is for the parent, which finishes what is under way.
    command.process_group(0);
    command.envs(ENVIRONMENT.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let (Some(mut input), Some(mut output)) = (process.stdin.take(), process.stdout.take()) else {
        return Err(io::Error::other("it has no pipes"));
    };
    let (requests, asked) = mpsc::channel::<Request>();
    let (answered, answers) = mpsc::channel();
    let running = Running { process, requests, answers };
    // A pipe blocks; the deadline is the receiver's, and the kill ends both ends of the pipe.
    std::thread::Builder::new().name("git-child".into()).stack_size(256 << 10).spawn(move || {
        for request in asked {
            let answer = wire::write(&mut input, &request).and_then(|()| wire::read(&mut output));
            if answered.send(answer).is_err() {
                return;
            }
        }
    })?;
    Ok(running)
}

/// What the end of a child says: the limits that it lives under end it by signals.
fn died(status: Option<ExitStatus>) -> Fault {
    match (status.and_then(|status| status.signal()), status) {
        // SIGXFSZ: a file grew above the limit. SIGBUS: a mapped one could not grow.
        (Some(25), _) => Fault::Quota { what: "a file grew above the limit".to_owned() },
        (Some(7), _) => Fault::Full,
        (Some(signal), _) => Fault::Died { how: format!("was ended by signal {signal}") },
        (None, Some(status)) => Fault::Died { how: format!("ended with {}", status.code().unwrap_or(-1)) },
        (None, None) => Fault::Died { how: "stopped answering".to_owned() },
    }
}
