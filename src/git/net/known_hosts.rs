//! Reads OpenSSH's known_hosts and says whether a key that a host shows is one of its own.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::{digest, hmac};

use super::Fault;

/// The most lines that are read.
const LINES_MAX: usize = 100_000;

/// One key that is known for a host.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    kind: String,
    key: Vec<u8>,
    revoked: bool,
}

/// What the lines for one host say.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct KnownHost {
    keys: Vec<Known>,
    authority: bool,
}

impl KnownHost {
    /// Reads the lines that are about `host` on `port`.
    pub fn of(text: &str, host: &str, port: u16) -> Self {
        let name = name(host, port);
        let mut found = Self::default();
        for line in text.lines().take(LINES_MAX) {
            let mut fields = line.split_ascii_whitespace().peekable();
            let marker = fields.next_if(|field| field.starts_with('@'));
            let (Some(hosts), Some(kind), Some(key)) = (fields.next(), fields.next(), fields.next()) else { continue };
            if hosts.starts_with('#') || !names(hosts, &name) {
                continue;
            }
            let Ok(key) = STANDARD.decode(key) else { continue };
            match marker {
                None => found.keys.push(Known { kind: kind.to_owned(), key, revoked: false }),
                Some("@revoked") => found.keys.push(Known { kind: kind.to_owned(), key, revoked: true }),
                Some("@cert-authority") => found.authority = true,
                // A marker of a later version may take trust away: the line is not for us to use.
                Some(_) => {}
            }
        }
        found
    }

    /// Whether the host may show `key`.
    pub fn check(&self, key: &[u8]) -> Result<(), Fault> {
        let shown = shown(key);
        let same = |known: &&Known| known.key == key;
        if self.keys.iter().filter(same).any(|known| known.revoked) {
            return Err(Fault::HostKeyRevoked { shown });
        }
        let mut good = self.keys.iter().filter(|known| !known.revoked).peekable();
        if good.clone().any(|known| same(&known)) {
            return Ok(());
        }
        if good.peek().is_some() {
            let known: Vec<String> = good.map(|known| self::shown(&known.key)).collect();
            return Err(Fault::HostKeyChanged { shown, known: known.join(", ") });
        }
        let why = if self.authority { " (a @cert-authority is known, which is not supported)" } else { "" };
        Err(Fault::HostKeyUnknown { shown: shown + why })
    }

    /// The keys that are trusted, one line each with the host's plain name: what libssh2 takes the kinds of keys from that
    /// it asks the server for.
    pub fn lines(&self, host: &str, port: u16) -> String {
        let name = name(host, port);
        let revoked = |key: &[u8]| self.keys.iter().any(|known| known.revoked && known.key == key);
        let good = self.keys.iter().filter(|known| !revoked(&known.key));
        good.map(|known| format!("{name} {} {}\n", known.kind, STANDARD.encode(&known.key))).collect()
    }
}

/// How OpenSSH names a host: the port only if it is not 22.
fn name(host: &str, port: u16) -> String {
    if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") }
}

/// Whether a field of hosts means `name`: hashed, or patterns of which none that begins with `!` matches.
fn names(field: &str, name: &str) -> bool {
    if let Some(rest) = field.strip_prefix("|1|") {
        return hashed(rest, name);
    }
    let mut named = false;
    for pattern in field.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches(pattern, name) => return false,
            Some(_) => {}
            None => named |= matches(pattern, name),
        }
    }
    named
}

fn hashed(rest: &str, name: &str) -> bool {
    let decoded =
        rest.split_once('|').and_then(|(salt, hash)| Some((STANDARD.decode(salt).ok()?, STANDARD.decode(hash).ok()?)));
    decoded.is_some_and(|(salt, hash)| {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
        hmac::verify(&key, name.as_bytes(), &hash).is_ok()
    })
}

/// `*` stands for any text, `?` for one character; case does not count.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_ascii_lowercase(), name.to_ascii_lowercase());
    let mut pieces = pattern.split('*');
    let fits = |piece: &str, text: &str| {
        piece.len() == text.len() && piece.bytes().zip(text.bytes()).all(|(one, other)| one == b'?' || one == other)
    };
    let head = |piece: &str, text: &str| text.get(..piece.len()).is_some_and(|text| fits(piece, text));
    let first = pieces.next().unwrap_or_default();
    let Some(last) = pieces.next_back() else { return fits(first, &name) };
    if !head(first, &name) {
        return false;
    }
    let mut rest = name.get(first.len()..).unwrap_or_default();
    for piece in pieces {
        let Some(at) = (0..=rest.len()).find(|at| rest.get(*at..).is_some_and(|text| head(piece, text))) else {
            return false;
        };
        rest = rest.get(at + piece.len()..).unwrap_or_default();
    }
    rest.len() >= last.len() && rest.get(rest.len() - last.len()..).is_some_and(|text| fits(last, text))
}

/// Kind and fingerprint, as `ssh-keygen -l` prints it.
fn shown(key: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, key);
    // The key begins with its kind, behind the length of that.
    let size = key.get(..4).and_then(|size| Some(u32::from_be_bytes(size.try_into().ok()?) as usize));
    let kind = size.and_then(|size| key.get(4..size.checked_add(4)?)).unwrap_or_default();
    let kind = super::fault::words(&String::from_utf8_lossy(kind));
    format!("{kind} SHA256:{}", STANDARD_NO_PAD.encode(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key of a kind, told apart by a number.
    fn key(kind: &str, number: u8) -> Vec<u8> {
        let size = u32::try_from(kind.len()).unwrap().to_be_bytes();
        [size.as_slice(), kind.as_bytes(), &[number; 32]].concat()
    }

    fn line(hosts: &str, number: u8) -> String {
        format!("{hosts} ssh-ed25519 {} comment\n", STANDARD.encode(key("ssh-ed25519", number)))
    }

    fn check(text: &str, host: &str, port: u16, number: u8) -> Result<(), Fault> {
        KnownHost::of(text, host, port).check(&key("ssh-ed25519", number))
    }

    #[test]
    fn a_host_is_found_by_name_port_pattern_and_hash() {
        let salt = b"12345678901234567890";
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt), b"[h.example.com]:2222");
        let hash = format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(tag));
        for (hosts, host, port, known) in [
            ("h.example.com", "h.example.com", 22, true),
            ("H.Example.com", "h.example.com", 22, true),
            ("h.example.com", "h.example.com", 2222, false),
            ("[h.example.com]:2222", "h.example.com", 2222, true),
            ("[h.example.com]:2222", "h.example.com", 22, false),
            ("other,h.example.com", "h.example.com", 22, true),
            ("*.example.com", "h.example.com", 22, true),
            ("*.example.com", "h.example.org", 22, false),
            ("h?.example.*", "h1.example.com", 22, true),
            ("*a*b*", "xaxxbx", 22, true),
            ("*a*b*", "xbxxax", 22, false),
            ("*.example.com,!h.example.com", "h.example.com", 22, false),
            (hash.as_str(), "h.example.com", 2222, true),
            (hash.as_str(), "h.example.com", 22, false),
            ("[::1]:2222", "::1", 2222, true),
        ] {
            assert_eq!(check(&line(hosts, 1), host, port, 1).is_ok(), known, "{hosts} {host} {port}");
        }
    }

    #[test]
    fn another_key_is_changed_no_key_is_unknown_and_a_revoked_one_wins() {
        let known = line("host", 1) + "# comment\n\nbroken\nhost ssh-ed25519 !!!\n" + &line("host", 2);
        assert_eq!(check(&known, "host", 22, 2), Ok(()));
        assert!(matches!(check(&known, "host", 22, 3), Err(Fault::HostKeyChanged { .. })));
        assert!(matches!(check(&known, "elsewhere", 22, 1), Err(Fault::HostKeyUnknown { .. })));
        let revoked = known.clone() + &format!("@revoked {}", line("*", 2));
        assert_eq!(check(&revoked, "host", 22, 1), Ok(()));
        assert!(matches!(check(&revoked, "host", 22, 2), Err(Fault::HostKeyRevoked { .. })));
        let only = format!("@revoked {}", line("host", 2));
        assert!(matches!(check(&only, "host", 22, 1), Err(Fault::HostKeyUnknown { .. })));
    }

    #[test]
    fn a_certificate_authority_is_no_trust_in_a_key() {
        let text = format!("@cert-authority {}", line("host", 1));
        let error = check(&text, "host", 22, 1).unwrap_err().to_string();
        assert!(error.contains("@cert-authority"), "{error}");
        assert!(check(&format!("@later {}", line("host", 1)), "host", 22, 1).is_err());
    }

    #[test]
    fn what_libssh2_reads_holds_plain_names_and_trusted_keys_only() {
        let text = line("*", 1) + "@revoked " + &line("*", 2);
        assert_eq!(
            KnownHost::of(&text, "host", 2222).lines("host", 2222),
            line("[host]:2222", 1).replace(" comment", "")
        );
    }
}
