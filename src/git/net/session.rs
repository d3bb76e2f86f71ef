//! One look at a repository, and the fetch that may follow on the same connection; or one push.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::rc::Rc;

use git2::{
    AutotagOption, CertificateCheckStatus, Cred, CredentialType, Direction, ErrorClass, ErrorCode, FetchOptions,
    ObjectType, Odb, Oid, PushOptions, Remote, RemoteCallbacks, RemoteConnection, RemoteRedirect, Repository,
};

use super::Fault;
use super::fault::{Said, words};
use super::known_hosts::KnownHost;
use super::web::Shared;
use super::wire::{Answer, Keys, Look, Push, Rejection, SshKeys};

/// The scheme under which libgit2 finds the child's own HTTP client.
pub(super) const WEB_SCHEME: &str = "tidegate";

/// The most branches named where the one that is followed is not there.
const BRANCHES_MAX: usize = 100;

/// The most references that a server may list.
const REFERENCES_MAX: usize = 500_000;

/// A fetch that brought more leaves a heap behind that is worth a new process.
const MUCH_BYTES: usize = 16 << 20;

/// What went wrong in a callback, for libgit2 forgets the reason.
type Noted = Rc<RefCell<Option<Fault>>>;

/// A look that is under way.
pub(super) struct Session<'a> {
    look: &'a Look,
    web: &'a Shared,
    noted: Noted,
}

impl<'a> Session<'a> {
    pub(super) fn new(look: &'a Look, web: &'a Shared) -> Self {
        Self { look, web, noted: Noted::default() }
    }

    /// A remote for the place of the look; nothing is sent yet.
    pub(super) fn remote<'r>(&self, repository: &'r Repository) -> Result<Remote<'r>, Fault> {
        let place = &self.look.place;
        self.web.point(place, &self.look.keys, self.look.bytes_max)?;
        let url = match &self.look.keys {
            Keys::Http { .. } => format!("{WEB_SCHEME}://repository"),
            Keys::Ssh(keys) => {
                trust(place, keys)?;
                crate::git::Place { user: Some(keys.user.clone()), ..place.clone() }.to_string()
            }
        };
        repository.remote_anonymous(&url).map_err(|error| self.fault(&error))
    }

    /// Connects, to read or to push.
    pub(super) fn connect<'r, 'c>(
        &self,
        remote: &'c mut Remote<'r>,
        direction: Direction,
    ) -> Result<RemoteConnection<'r, 'c, 'a>, Fault> {
        let callbacks = self.callbacks();
        remote.connect_auth(direction, Some(callbacks), None).map_err(|error| self.fault(&error))
    }

    /// Where the branch stands by what the server listed.
    pub(super) fn tip(&self, connection: &RemoteConnection<'_, '_, '_>) -> Answer {
        let heads = match connection.list() {
            Ok(heads) => heads,
            Err(error) => return Answer::Failed(self.fault(&error)),
        };
        if heads.len() > REFERENCES_MAX {
            return Answer::Failed(Fault::Quota { what: format!("{} references", heads.len()) });
        }
        let mut branches = Vec::new();
        for head in heads {
            // git2 panics at a name that is not UTF-8, which a branch beside ours may have.
            let name = std::panic::catch_unwind(AssertUnwindSafe(|| head.name().to_owned())).unwrap_or_default();
            if name == self.look.from {
                return Answer::At(head.oid().to_string());
            }
            let Some(branch) = name.strip_prefix("refs/heads/") else { continue };
            if branches.len() < BRANCHES_MAX {
                branches.push(words(branch));
            }
        }
        if branches.is_empty() { Answer::Empty } else { Answer::Gone(branches) }
    }

    /// Brings all that is reachable from `tip` into the mirror.
    pub(super) fn fetch(
        &self,
        repository: &Repository,
        connection: &mut RemoteConnection<'_, '_, '_>,
        tip: Oid,
    ) -> Answer {
        let reference = format!("+{}:{}", self.look.from, self.look.reference);
        let mut options = FetchOptions::new();
        options.remote_callbacks(self.callbacks());
        options.download_tags(AutotagOption::None).follow_redirects(RemoteRedirect::None);
        if let Err(error) = connection.remote().download(&[reference], Some(&mut options)) {
            return self.fetch_failed(&error);
        }
        let much = connection.remote().stats().received_bytes() > MUCH_BYTES;
        let stands = self.look.stands.as_deref().and_then(|id| Oid::from_str(id).ok());
        match lacks(repository, tip, stands) {
            Ok(None) => Answer::Fetched { tip: tip.to_string(), much },
            Ok(Some(id)) => Answer::Broken(format!("object {id} is missing")),
            Err(error) => Answer::Broken(words(error.message())),
        }
    }

    /// Moves the reference, if the server lists it where the push was built upon.
    pub(super) fn push(&self, connection: &mut RemoteConnection<'_, '_, '_>, push: &Push) -> Answer {
        let onto = push.onto.as_deref().map_or(Ok(Oid::ZERO_SHA1), Oid::from_str);
        let Ok(onto) = onto else { return Answer::Elsewhere };
        let (elsewhere, status) = (Rc::new(Cell::new(false)), Rc::new(RefCell::new(None)));
        let said = Rc::new(RefCell::new(Said::default()));
        let mut callbacks = self.callbacks();
        let (stands, told, heard) = (elsewhere.clone(), status.clone(), said.clone());
        callbacks.push_negotiation(move |updates| {
            // What is compared here is what the server is told to compare with, too.
            stands.set(updates.iter().any(|update| update.src() != onto));
            if stands.get() { Err(git2::Error::from_str("the reference stands elsewhere")) } else { Ok(()) }
        });
        callbacks.push_update_reference(move |_, refused| {
            told.replace(Some(refused.map(words)));
            Ok(())
        });
        callbacks.sideband_progress(move |bytes| {
            heard.borrow_mut().hear(bytes);
            true
        });
        let mut options = PushOptions::new();
        options.remote_callbacks(callbacks).follow_redirects(RemoteRedirect::None);
        let refspec = format!("{}:{}", push.commit, self.look.from);
        let pushed = connection.remote().push(&[refspec], Some(&mut options));
        let said = said.borrow().to_string();
        match (pushed, status.take()) {
            _ if elsewhere.get() => Answer::Elsewhere,
            (_, Some(Some(status))) => Answer::Rejected(Rejection { status, said }),
            (Ok(()), Some(None)) => Answer::Pushed,
            (Ok(()), None) => Answer::Failed(Fault::Server { what: "nothing about the push".to_owned(), words: said }),
            (Err(error), _) if error.message().contains("unpacking the sent packfile failed") => {
                Answer::Rejected(Rejection { status: "it cannot unpack what was sent".to_owned(), said })
            }
            (Err(error), _) => Answer::Failed(self.fault(&error)),
        }
    }

    /// Tells a mirror that cannot be read from everything else, above all from nonsense that the server sent.
    fn fetch_failed(&self, error: &git2::Error) -> Answer {
        let fault = self.fault(error);
        // Opened anew: what was read before may still be remembered.
        let reads = |id: &str| {
            let mirror = Repository::open_bare(&self.look.mirror)?;
            mirror.find_commit(Oid::from_str(id)?)?.tree().map(drop)
        };
        let lost = self.look.stands.as_deref().is_some_and(|id| reads(id).is_err());
        match fault {
            Fault::Disk { words } | Fault::Garbled { words } if lost || error.class() == ErrorClass::Odb => {
                Answer::Broken(words)
            }
            fault => Answer::Failed(fault),
        }
    }

    fn callbacks(&self) -> RemoteCallbacks<'a> {
        let mut callbacks = RemoteCallbacks::new();
        let (bytes_max, objects_max) = (self.look.bytes_max, self.look.objects_max);
        let noted = self.noted.clone();
        callbacks.transfer_progress(move |progress| {
            let what = if progress.received_bytes() as u64 > bytes_max {
                format!("the limit is {} MiB", bytes_max >> 20)
            } else if progress.total_objects() as u64 > objects_max {
                format!("{} objects, the limit is {objects_max}", progress.total_objects())
            } else {
                return true;
            };
            noted.replace(Some(Fault::Quota { what }));
            false
        });
        let asked = (Vec::new(), self.noted.clone());
        match &self.look.keys {
            Keys::Http { .. } => {}
            Keys::Ssh(keys) => self.ssh(keys, asked, &mut callbacks),
        }
        callbacks
    }

    fn ssh(
        &self,
        keys: &'a SshKeys,
        (mut asked, refused): (Vec<CredentialType>, Noted),
        callbacks: &mut RemoteCallbacks<'a>,
    ) {
        let place = &self.look.place;
        let known = KnownHost::of(&keys.known_hosts, &place.host, place.port);
        let noted = self.noted.clone();
        let refuse = |fault: Fault, code: ErrorCode, noted: &Noted| {
            noted.replace(Some(fault));
            git2::Error::new(code, ErrorClass::Ssh, "see the fault")
        };
        callbacks.certificate_check(move |certificate, _| {
            let key = certificate.as_hostkey().and_then(|shown| shown.hostkey()).unwrap_or_default();
            match known.check(key) {
                // libssh2 has to agree: it compares with the same keys.
                Ok(()) => Ok(CertificateCheckStatus::CertificatePassthrough),
                Err(fault) => Err(refuse(fault, ErrorCode::Certificate, &noted)),
            }
        });
        callbacks.credentials(move |_, _, allowed| {
            if allowed.contains(CredentialType::USERNAME) {
                return Cred::username(&keys.user);
            }
            // libgit2 asks again until it is told that there is nothing else.
            if !allowed.contains(CredentialType::SSH_KEY) || asked.contains(&allowed) {
                return Err(refuse(Fault::Refused, ErrorCode::Auth, &refused));
            }
            asked.push(allowed);
            Cred::ssh_key_from_memory(&keys.user, None, &keys.key, keys.passphrase.as_deref())
        });
    }

    /// What an error of libgit2 means; what a callback or the own client noted says more.
    fn fault(&self, error: &git2::Error) -> Fault {
        if let Some(fault) = self.noted.take().or_else(|| self.web.fault()) {
            return fault;
        }
        let text = words(error.message());
        let has = |part: &str| text.contains(part);
        match (error.class(), error.code()) {
            _ if has("No space left on device") || has("Disk quota exceeded") => Fault::Full,
            (ErrorClass::NoMemory, _) => Fault::Quota { what: "more than fits into memory".to_owned() },
            _ if has("object size") && has("limit") => Fault::Quota { what: text },
            (_, ErrorCode::Auth) => Fault::Refused,
            (_, ErrorCode::Certificate) => Fault::HostKeyUnknown { shown: text },
            (ErrorClass::Os | ErrorClass::Filesystem, _) => Fault::Disk { words: text },
            (ErrorClass::Ssh, _) if has("timed out") || has("imeout") => Fault::Unreachable { why: text },
            (ErrorClass::Ssh, _) if has("private key") || has("passphrase") || has("key file") => {
                Fault::Unusable { what: "the SSH key".to_owned(), why: text }
            }
            (ErrorClass::Ssh, ErrorCode::Eof) => match ["not appear", "not found", "not exist", "ould not be found"] {
                signs if signs.into_iter().any(has) => Fault::NotFound { words: text },
                _ => Fault::Server { what: "by SSH".to_owned(), words: text },
            },
            (ErrorClass::Ssh | ErrorClass::Net, _) if has("failed to") => Fault::Unreachable { why: text },
            (ErrorClass::Ssh | ErrorClass::Net, _) => Fault::Server { what: "with an error".to_owned(), words: text },
            _ => Fault::Garbled { words: text },
        }
    }
}

/// Leaves the keys that are known for the host where libssh2 looks which kinds of keys to ask for.
fn trust(place: &crate::git::Place, keys: &SshKeys) -> Result<(), Fault> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::StorageFull => Fault::Full,
        _ => Fault::Disk { words: words(&error.to_string()) },
    };
    let folder = Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".ssh");
    let file = folder.join("known_hosts");
    let lines = KnownHost::of(&keys.known_hosts, &place.host, place.port).lines(&place.host, place.port);
    if std::fs::read_to_string(&file).is_ok_and(|there| there == lines) {
        return Ok(());
    }
    std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, lines)).map_err(failed)
}

/// An object that is reachable from `tip`, not from `stands`, and not there.
///
/// What a commit shares with its first parent is not looked at: that was there when the parent was.
fn lacks(repository: &Repository, tip: Oid, stands: Option<Oid>) -> Result<Option<Oid>, git2::Error> {
    let odb = repository.odb()?;
    let mut walk = repository.revwalk()?;
    walk.push(tip)?;
    if let Some(stands) = stands {
        walk.hide(stands)?;
    }
    let mut seen = HashSet::new();
    for id in walk {
        let commit = repository.find_commit(id?)?;
        let before = commit.parent_ids().next().map(|parent| repository.find_commit(parent)).transpose()?;
        let before = before.map(|parent| parent.tree_id());
        if let Some(id) = tree_lacks(repository, &odb, commit.tree_id(), before, &mut seen)? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

fn tree_lacks(
    repository: &Repository,
    odb: &Odb<'_>,
    tree: Oid,
    before: Option<Oid>,
    seen: &mut HashSet<Oid>,
) -> Result<Option<Oid>, git2::Error> {
    let mut open = vec![(tree, before)];
    while let Some((id, before)) = open.pop() {
        if before == Some(id) || !seen.insert(id) {
            continue;
        }
        let Ok(tree) = repository.find_tree(id) else { return Ok(Some(id)) };
        let before = before.and_then(|before| repository.find_tree(before).ok());
        for entry in &tree {
            let former =
                before.as_ref().and_then(|before| before.get_name_bytes(entry.name_bytes()).map(|entry| entry.id()));
            match entry.kind() {
                Some(ObjectType::Tree) => open.push((entry.id(), former)),
                Some(ObjectType::Blob)
                    if former != Some(entry.id()) && seen.insert(entry.id()) && !odb.exists(entry.id()) =>
                {
                    return Ok(Some(entry.id()));
                }
                _ => {}
            }
        }
    }
    Ok(None)
}
