//! Names who a commit is by.

use std::fmt;
use std::str::FromStr;

use git2::{Signature, Time};
use jiff::Timestamp;

/// The longest name or address, in bytes.
const BYTES_MAX: usize = 200;

/// A name and an address that Git can write down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    name: String,
    mail: String,
}

impl Default for Author {
    fn default() -> Self {
        Self { name: "tidegate".to_owned(), mail: "tidegate@localhost".to_owned() }
    }
}

impl FromStr for Author {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        let parts = written.trim().strip_suffix('>').and_then(|rest| rest.split_once('<'));
        let (name, mail) = parts.map(|(name, mail)| (name.trim(), mail.trim())).unwrap_or_default();
        let odd = |text: &str| text.contains(|letter: char| letter.is_control() || "<>".contains(letter));
        if [name, mail].iter().any(|text| text.is_empty() || text.len() > BYTES_MAX || odd(text)) {
            return Err(format!("`{}` is not an author; write `Name <mail@example.com>`", written.escape_debug()));
        }
        Ok(Self { name: name.to_owned(), mail: mail.to_owned() })
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} <{}>", self.name, self.mail)
    }
}

impl Author {
    /// As Git writes it, in universal time.
    pub(super) fn at(&self, now: Timestamp) -> Result<Signature<'static>, git2::Error> {
        Signature::new(&self.name, &self.mail, &Time::new(now.as_second(), 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_is_a_name_and_an_address() {
        let author: Author = " Tide Gate  <bot@example.com> ".parse().unwrap();
        assert_eq!(author.to_string(), "Tide Gate <bot@example.com>");
        assert_eq!(Author::default().to_string().parse(), Ok(Author::default()));
        for bad in ["", "bot", "bot@example.com", "<bot@example.com>", "Bot <>", "Bot <a\nb>", "B<o <a>", "Bot <a> b"] {
            assert!(bad.parse::<Author>().is_err(), "{bad:?}");
        }
    }
}
