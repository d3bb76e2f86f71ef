//! Reads OpenPGP certificates, works out which of their keys may sign, and verifies signatures of commits.

use jiff::Timestamp;
use pgp::composed::{Deserializable, DetachedSignature, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{PublicKey, PublicSubkey, Signature, SignatureType, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{KeyDetails, PublicParams, Tag};

use super::Why;

const RSA_BITS_MIN: u16 = 2048;

/// How far a signer's clock may be ahead, in seconds.
const CLOCK_S_MAX: i64 = 300;

/// A primary key with the subkeys that may sign for it.
pub(super) struct Certificate {
    /// Why none of its keys counts, if so.
    fault: Option<String>,
    /// When all of it ends, in seconds.
    ends: Option<i64>,
    keys: Vec<Key>,
}

/// A key that may sign.
struct Key {
    part: Part,
    fault: Option<String>,
    ends: Option<i64>,
}

enum Part {
    Primary(Box<PublicKey>),
    Sub(Box<PublicSubkey>),
}

impl Part {
    fn verifies(&self, signature: &Signature, signed: &[u8]) -> bool {
        match self {
            Self::Primary(key) => signature.verify(&**key, signed),
            Self::Sub(key) => signature.verify(&**key, signed),
        }
        .is_ok()
    }

    fn details(&self) -> &dyn KeyDetails {
        match self {
            Self::Primary(key) => &**key,
            Self::Sub(key) => &**key,
        }
    }

    fn is_of(&self, signature: &Signature) -> bool {
        let (ids, prints) = (signature.issuer_key_id(), signature.issuer_fingerprint());
        let key = self.details();
        (ids.is_empty() && prints.is_empty())
            || ids.iter().any(|id| **id == key.legacy_key_id())
            || prints.iter().any(|print| **print == key.fingerprint())
    }

    fn name(&self) -> String {
        format!("OpenPGP key {:X}", self.details().fingerprint())
    }
}

/// Whether the signature is by a key of one of the certificates that counts now.
pub(super) fn check(certificates: &[Certificate], armored: &str, signed: &[u8], now: Timestamp) -> Result<(), Why> {
    let (DetachedSignature { signature }, _) = DetachedSignature::from_string(armored).map_err(|_| Why::Garbled)?;
    if signature.typ() != Some(SignatureType::Binary) || has_unknown_critical(&signature) {
        return Err(Why::Garbled);
    }
    if !is_strong(&signature) {
        let what = signature.hash_alg().map_or_else(|| "an unknown hash".to_owned(), |hash| hash.to_string());
        return Err(Why::Weak { what });
    }
    let keys =
        || certificates.iter().flat_map(|certificate| certificate.keys.iter().map(move |key| (certificate, key)));
    let named: Vec<_> = keys().filter(|(_, key)| key.part.is_of(&signature)).collect();
    let Some((_, first)) = named.first() else { return Err(Why::UnknownKey { key: issuer(&signature) }) };
    let Some((certificate, key)) = named.iter().find(|(_, key)| key.part.verifies(&signature, signed)) else {
        return Err(Why::Mismatch { key: first.part.name() });
    };
    let fault = certificate.fault.clone().or_else(|| key.fault.clone());
    let cause = fault.or_else(|| untimely(certificate, key, &signature, now));
    cause.map_or(Ok(()), |cause| Err(Why::KeyNotGood { key: key.part.name(), cause }))
}

/// Why key or signature do not count at this instant, if so.
fn untimely(certificate: &Certificate, key: &Key, signature: &Signature, now: Timestamp) -> Option<String> {
    let now = now.as_second();
    if let Some(ends) = [certificate.ends, key.ends].into_iter().flatten().min().filter(|ends| *ends <= now) {
        return Some(format!("which expired {}", shown(ends)));
    }
    let Some(made) = signature.created().map(|at| i64::from(at.as_secs())) else {
        return Some("whose signature has no date".to_owned());
    };
    if made > now + CLOCK_S_MAX || made < i64::from(key.part.details().created_at().as_secs()) {
        return Some(format!("whose signature is dated {}", shown(made)));
    }
    let ends = signature.signature_expiration_time().map(|span| i64::from(span.as_secs())).filter(|span| *span > 0);
    ends.map(|span| made + span)
        .filter(|ends| *ends <= now)
        .map(|ends| format!("whose signature expired {}", shown(ends)))
}

fn shown(second: i64) -> String {
    Timestamp::from_second(second).map_or_else(|_| "long ago".to_owned(), |at| at.to_string())
}

/// The key that a signature says it is by.
fn issuer(signature: &Signature) -> String {
    let print = signature.issuer_fingerprint().first().map(|print| format!("{print:X}"));
    let id = || signature.issuer_key_id().first().map(|id| format!("{id}").to_uppercase());
    format!("OpenPGP key {}", print.or_else(id).unwrap_or_else(|| "without a name".to_owned()))
}

/// Whether the signature asks not to be understood without what is not known here.
fn has_unknown_critical(signature: &Signature) -> bool {
    let known = |data: &SubpacketData| {
        !matches!(data, SubpacketData::Experimental(..) | SubpacketData::Other(..) | SubpacketData::Notation(_))
    };
    signature
        .config()
        .is_none_or(|config| config.hashed_subpackets().any(|part| part.is_critical && !known(&part.data)))
}

fn is_strong(signature: &Signature) -> bool {
    use HashAlgorithm::{Sha3_256, Sha3_512, Sha256, Sha384, Sha512};
    matches!(signature.hash_alg(), Some(Sha256 | Sha384 | Sha512 | Sha3_256 | Sha3_512))
}

/// What makes a key unfit to sign, if anything does.
fn weak(key: &dyn KeyDetails) -> Option<String> {
    match key.public_params() {
        PublicParams::RSA(rsa) => {
            // Written as OpenPGP does, the modulus comes first, after its length in bits.
            let written = rsa.to_bytes().unwrap_or_default();
            let bits = written.first_chunk().map_or(0, |length| u16::from_be_bytes(*length));
            (bits < RSA_BITS_MIN).then(|| format!("RSA of {bits} bits is too weak"))
        }
        PublicParams::ECDSA(_) | PublicParams::EdDSALegacy(_) | PublicParams::Ed25519(_) | PublicParams::Ed448(_) => {
            None
        }
        _ => Some(format!("{:?} is too weak or not supported", key.algorithm())),
    }
}

/// The certificates of an armored block; errs where one of them could never verify anything.
pub(super) fn certificates(armored: &str) -> Result<Vec<Certificate>, String> {
    let unread = |error: pgp::errors::Error| format!("the OpenPGP keys cannot be read: {error}");
    let (keys, _) = SignedPublicKey::from_string_many(armored).map_err(unread)?;
    let mut read = Vec::new();
    for key in keys {
        read.push(certificate(key.map_err(unread)?)?);
    }
    if read.is_empty() { Err("the block holds no OpenPGP key".to_owned()) } else { Ok(read) }
}

fn certificate(key: SignedPublicKey) -> Result<Certificate, String> {
    let SignedPublicKey { primary_key: primary, details, public_subkeys } = key;
    let name = format!("OpenPGP key {:X}", primary.fingerprint());
    let revoked = details.revocation_signatures.iter().any(|signature| signature.verify_key(&primary).is_ok());
    let direct = details.direct_signatures.iter().filter(|signature| {
        signature.typ() == Some(SignatureType::Key) && is_strong(signature) && signature.verify_key(&primary).is_ok()
    });
    let of_users = details.users.iter().flat_map(|user| {
        let own = |signature: &&Signature| signature.verify_certification(&primary, Tag::UserId, &user.id).is_ok();
        let own: Vec<&Signature> = user.signatures.iter().filter(own).collect();
        let (revocations, good): (Vec<&Signature>, Vec<&Signature>) =
            own.into_iter().partition(|signature| signature.typ() == Some(SignatureType::CertRevocation));
        let revoked = revocations.into_iter().filter_map(Signature::created).max();
        good.into_iter().filter(move |signature| is_strong(signature) && signature.created() > revoked)
    });
    let newest = direct.chain(of_users).max_by_key(|signature| signature.created());
    let Some(newest) = newest else {
        return Err(format!(
            "{name} has no self-signature that counts: renew it with SHA-256 or better, and export it again"
        ));
    };
    let mut keys = Vec::new();
    let says_what_for = newest
        .config()
        .is_some_and(|config| config.hashed_subpackets().any(|part| matches!(part.data, SubpacketData::KeyFlags(_))));
    if (!says_what_for || newest.key_flags().sign()) && weak(&primary).is_none() {
        keys.push(Key { part: Part::Primary(Box::new(primary.clone())), fault: None, ends: None });
    }
    keys.extend(public_subkeys.into_iter().filter_map(|subkey| subkey_of(&primary, subkey)));
    if keys.is_empty() {
        let why = weak(&primary).unwrap_or_else(|| "none of its keys may sign".to_owned());
        return Err(format!("{name} cannot be used: {why}"));
    }
    let fault = revoked.then(|| "which was revoked".to_owned());
    Ok(Certificate { fault, ends: ends(&primary, newest), keys })
}

/// A subkey that may sign, bound to the primary key by both.
fn subkey_of(primary: &PublicKey, subkey: SignedPublicSubKey) -> Option<Key> {
    let SignedPublicSubKey { key, signatures } = subkey;
    let own = |signature: &&Signature| signature.verify_subkey_binding(primary, &key).is_ok();
    let (revocations, bindings): (Vec<&Signature>, Vec<&Signature>) =
        signatures.iter().filter(own).partition(|signature| signature.typ() == Some(SignatureType::SubkeyRevocation));
    let newest =
        bindings.into_iter().filter(|signature| is_strong(signature)).max_by_key(|binding| binding.created())?;
    let agrees = newest
        .embedded_signature()
        .is_some_and(|back| is_strong(back) && back.verify_primary_key_binding(&key, primary).is_ok());
    if !newest.key_flags().sign() || !agrees || weak(&key).is_some() {
        return None;
    }
    let fault = (!revocations.is_empty()).then(|| "which was revoked".to_owned());
    let ends = ends(&key, newest);
    Some(Key { part: Part::Sub(Box::new(key)), fault, ends })
}

/// When a key ends by what its newest signature says, in seconds.
fn ends(key: &dyn KeyDetails, newest: &Signature) -> Option<i64> {
    let span = newest.key_expiration_time().map(|span| i64::from(span.as_secs())).filter(|span| *span > 0)?;
    Some(i64::from(key.created_at().as_secs()) + span)
}
