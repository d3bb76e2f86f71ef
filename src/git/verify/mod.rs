//! Says whether a commit is signed by one of the keys that the operator trusts.
//!
//! ```text
//!   key files ─► keys (read anew at each look) ─► ring ┐
//!   commit ─► signature ─┬─ SSH ──────► ssh ───────────┼─► the signer, or why it does not count
//!                        └─ OpenPGP ──► openpgp ───────┘
//! ```
//!
//! Keys are judged at the present instant, never at the date that a commit claims: whoever holds an expired key can
//! write any date.

mod keys;
mod openpgp;
mod ssh;
mod why;

use std::panic::{AssertUnwindSafe, catch_unwind};

use git2::{ErrorCode, Oid, Repository};
use jiff::Timestamp;

use super::GitError;

pub(super) use keys::{KeyRing, Keys};
pub use keys::{KeysError, check_keys};
pub use why::Why;

/// The largest commit whose signature is verified, in bytes.
const COMMIT_BYTES_MAX: usize = 1 << 20;

/// The largest signature that is looked at, in bytes.
const SIGNATURE_BYTES_MAX: usize = 64 << 10;

/// Whether a commit is signed by a key of the ring that is good now; errs where the commit cannot be read.
pub(super) fn commit(
    repository: &Repository,
    id: Oid,
    ring: &KeyRing,
    now: Timestamp,
) -> Result<Result<(), Why>, GitError> {
    let (size, _) = repository.odb()?.read_header(id)?;
    if size > COMMIT_BYTES_MAX {
        return Ok(Err(Why::TooLarge { limit: COMMIT_BYTES_MAX }));
    }
    let (signature, signed) = match repository.extract_signature(&id, None) {
        Ok(parts) => parts,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(Err(Why::Unsigned)),
        Err(error) => return Err(error.into()),
    };
    if signature.len() > SIGNATURE_BYTES_MAX {
        return Ok(Err(Why::TooLarge { limit: SIGNATURE_BYTES_MAX }));
    }
    let Ok(armored) = std::str::from_utf8(&signature) else { return Ok(Err(Why::Garbled)) };
    // Whoever can push chooses these bytes: what a parser does not survive is a signature that does not count.
    let checked = catch_unwind(AssertUnwindSafe(|| ring.check(armored.trim(), &signed, now)));
    Ok(checked.unwrap_or(Err(Why::Garbled)))
}

impl KeyRing {
    fn check(&self, armored: &str, signed: &[u8], now: Timestamp) -> Result<(), Why> {
        if armored.starts_with("-----BEGIN SSH SIGNATURE-----") {
            ssh::check(&self.ssh, armored, signed, now)
        } else if armored.starts_with("-----BEGIN PGP SIGNATURE-----") {
            openpgp::check(&self.openpgp, armored, signed, now)
        } else if armored.starts_with("-----BEGIN SIGNED MESSAGE-----") {
            Err(Why::Unsupported { what: "an X.509 certificate" })
        } else {
            Err(Why::Garbled)
        }
    }
}
