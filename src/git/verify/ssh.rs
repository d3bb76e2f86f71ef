//! Reads lines of OpenSSH's `allowed_signers` and verifies SSH signatures of commits.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use ssh_key::{Algorithm, HashAlg, PublicKey, SshSig, public::KeyData};

use super::Why;

/// What Git signs for.
const NAMESPACE: &str = "git";

const RSA_BITS_MIN: usize = 2048;

/// What the verifying library takes.
const RSA_BITS_MAX: usize = 4096;

/// One line: a key, and when it counts.
#[derive(Debug)]
pub(super) struct Signer {
    key: PublicKey,
    /// Whether it may sign for Git.
    for_git: bool,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
}

impl Signer {
    /// Why it does not count now, if so.
    fn fault(&self, now: Timestamp) -> Option<String> {
        if !self.for_git {
            return Some("whose `namespaces` leave `git` out".to_owned());
        }
        if let Some(after) = self.after.filter(|after| now < *after) {
            return Some(format!("which counts only after {after}"));
        }
        self.before.filter(|before| now >= *before).map(|before| format!("which counted until {before}"))
    }
}

/// Whether the signature is by one of the signers, whose key counts now.
pub(super) fn check(signers: &[Signer], armored: &str, signed: &[u8], now: Timestamp) -> Result<(), Why> {
    let signature: SshSig = armored.parse().map_err(|_| Why::Garbled)?;
    if let Some(what) = weak(signature.public_key()) {
        return Err(Why::Weak { what });
    }
    let key = format!("SSH key {}", signature.public_key().fingerprint(HashAlg::Sha256));
    let lines: Vec<&Signer> = signers.iter().filter(|line| line.key.key_data() == signature.public_key()).collect();
    let Some(line) = lines.iter().find(|line| line.fault(now).is_none()).or(lines.first()) else {
        return Err(Why::UnknownKey { key });
    };
    if line.key.verify(NAMESPACE, signed, &signature).is_err() {
        return Err(Why::Mismatch { key });
    }
    line.fault(now).map_or(Ok(()), |cause| Err(Why::KeyNotGood { key, cause }))
}

/// What makes a key too weak, if anything does.
fn weak(key: &KeyData) -> Option<String> {
    match key {
        KeyData::Dsa(_) => Some("DSA".to_owned()),
        key => rsa_bits(key).filter(|bits| *bits < RSA_BITS_MIN).map(|bits| format!("RSA of {bits} bits")),
    }
}

fn rsa_bits(key: &KeyData) -> Option<usize> {
    let modulus = key.rsa()?.n.as_positive_bytes()?;
    Some(modulus.len() * 8 - modulus.first().map_or(0, |first| first.leading_zeros() as usize))
}

/// Reads a line: `principals [options] type key [comment]`, or a bare public key.
///
/// Principals name people to people; who may sign is a matter of keys alone.
pub(super) fn signer(line: &str) -> Result<Signer, String> {
    let fields = fields(line);
    let is_type = |field: &&str| is_key_type(field);
    let at =
        fields.iter().take(3).position(is_type).ok_or("it has no key that is known: write `name ssh-ed25519 AAAA…`")?;
    let (kind, blob) = match fields.get(at..) {
        Some([kind, blob, ..]) => (*kind, *blob),
        _ => return Err("the key is cut off".to_owned()),
    };
    if kind.contains("-cert-v01@") {
        return Err("it is a certificate; list the key itself".to_owned());
    }
    let key =
        PublicKey::from_openssh(&format!("{kind} {blob}")).map_err(|error| format!("not a public key: {error}"))?;
    if let Some(what) = weak(key.key_data()) {
        return Err(format!("{what} is too weak"));
    }
    if let Some(bits) = rsa_bits(key.key_data()).filter(|bits| *bits > RSA_BITS_MAX) {
        return Err(format!("RSA of {bits} bits is not supported, {RSA_BITS_MAX} at most"));
    }
    if let Algorithm::Other(_) = key.algorithm() {
        return Err(format!("keys of type {kind} are not supported"));
    }
    let mut signer = Signer { key, for_git: true, after: None, before: None };
    if let Some(options) = fields.get(1).filter(|_| at == 2) {
        for option in split(options, ',') {
            take(&mut signer, option)?;
        }
    }
    Ok(signer)
}

fn is_key_type(field: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|start| field.starts_with(start))
}

fn take(signer: &mut Signer, option: &str) -> Result<(), String> {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    let value = value.trim_matches('"');
    match name.to_ascii_lowercase().as_str() {
        "cert-authority" => Err("`cert-authority` is not supported: list the key of each signer".to_owned()),
        "namespaces" => {
            signer.for_git = matches(value, NAMESPACE);
            Ok(())
        }
        "valid-after" => instant(value).map(|at| signer.after = Some(at)),
        "valid-before" => instant(value).map(|at| signer.before = Some(at)),
        _ => Err(format!("`{name}` is no option of allowed_signers")),
    }
}

/// Whether a list of patterns, some of them negated, matches a name.
fn matches(patterns: &str, name: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',').map(str::trim) {
        match pattern.strip_prefix('!') {
            Some(not) if glob(not.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => found |= glob(pattern.as_bytes(), name.as_bytes()),
        }
    }
    found
}

fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => glob(rest, name) || name.split_first().is_some_and(|(_, tail)| glob(pattern, tail)),
        (Some((letter, rest)), Some((first, tail))) => (*letter == b'?' || letter == first) && glob(rest, tail),
        _ => false,
    }
}

/// An instant as OpenSSH writes it, `YYYYMMDD[HHMM[SS]][Z]`; without Z in the time zone of this machine.
fn instant(written: &str) -> Result<Timestamp, String> {
    let bad = || format!("`{written}` is not an instant: write YYYYMMDD[HHMM[SS]][Z]");
    let digits = written.strip_suffix(['Z', 'z']);
    let zone = if digits.is_some() { TimeZone::UTC } else { TimeZone::system() };
    let digits = digits.unwrap_or(written);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || ![8, 12, 14].contains(&digits.len()) {
        return Err(bad());
    }
    let full = format!("{digits:0<14}");
    let at = DateTime::strptime("%Y%m%d%H%M%S", &full).map_err(|_| bad())?;
    at.to_zoned(zone).map(|zoned| zoned.timestamp()).map_err(|_| bad())
}

/// Fields between blanks; a blank in quotes divides nothing.
fn fields(line: &str) -> Vec<&str> {
    split(line, ' ').into_iter().flat_map(|field| split(field, '\t')).filter(|field| !field.is_empty()).collect()
}

fn split(text: &str, at: char) -> Vec<&str> {
    let mut quoted = false;
    let apart = |letter: char| {
        quoted ^= letter == '"';
        letter == at && !quoted
    };
    text.split(apart).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    fn fault(options: &str, now: &str) -> Option<String> {
        signer(&format!("ada@example.com {options} {KEY}")).unwrap().fault(now.parse().unwrap())
    }

    #[test]
    fn a_line_has_a_name_perhaps_options_and_a_key_or_is_a_key() {
        let now = "2026-11-21T00:00:00Z".parse().unwrap();
        for line in
            [KEY.to_owned(), format!("ada {KEY} laptop"), format!("\"ada l, bob\"\t{KEY}"), format!("{KEY} ada")]
        {
            assert_eq!(signer(&line).unwrap().fault(now), None, "{line}");
        }
        for (line, says) in [
            ("ada", "no key that is known"),
            ("ada ssh-ed25519", "cut off"),
            ("ada ssh-ed25519 AAAAC3Nz", "not a public key"),
            (&format!("ada cert-authority {KEY}"), "list the key of each signer"),
            (&format!("ada expires=1 {KEY}"), "`expires` is no option"),
            (&format!("ada valid-before=\"soon\" {KEY}"), "`soon` is not an instant"),
            (&format!("ada valid-before=\"20261340Z\" {KEY}"), "is not an instant"),
            ("ada ssh-ed25519-cert-v01@openssh.com AAAA", "list the key itself"),
        ] {
            let refused = signer(line).unwrap_err();
            assert!(refused.contains(says), "{line}: {refused}");
        }
    }

    #[test]
    fn a_key_counts_between_its_instants_and_for_git_alone() {
        let noon = "2026-11-21T12:00:00Z";
        for options in ["valid-after=\"20261121Z\"", "valid-before=\"20261121120001Z\"", "namespaces=\"file,g?t\""] {
            assert_eq!(fault(options, noon), None, "{options}");
        }
        for (options, says) in [
            ("valid-after=\"202611211201Z\"", "only after 2026-11-21T12:01:00Z"),
            ("VALID-BEFORE=\"202611211200Z\",namespaces=\"git\"", "until 2026-11-21T12:00:00Z"),
            ("namespaces=\"file\"", "leave `git` out"),
            ("namespaces=\"*,!git\"", "leave `git` out"),
        ] {
            assert!(fault(options, noon).is_some_and(|fault| fault.contains(says)), "{options}");
        }
    }
}
