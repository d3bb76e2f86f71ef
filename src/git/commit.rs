//! What a commit says about itself, made safe to show.

use git2::{Oid, Repository};
use jiff::Timestamp;

use super::GitError;

/// The trailer that lets a commit remove many plans (law 12).
const ALLOW_REMOVAL: &str = "Tidegate-Allow-Removal";

/// The trailer that accepts a history that was rewritten; its value is the commit that is given up.
const ACCEPT_REWRITE: &str = "Tidegate-Accept-Rewrite";

/// The longest text shown, in characters.
const SHOWN_MAX: usize = 200;

/// Who changed what, and when; texts are escaped and cut, for anybody can write anything there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// 40 hex digits.
    pub id: String,
    /// The author's name.
    pub author: String,
    /// When it was committed, by the committer's clock.
    pub time: Timestamp,
    /// The first line of its message.
    pub subject: String,
}

/// Reads what a commit says about itself.
pub(super) fn read(repository: &Repository, id: Oid) -> Result<Commit, GitError> {
    let commit = repository.find_commit(id)?;
    let text = |bytes: &[u8]| shown(&String::from_utf8_lossy(bytes));
    Ok(Commit {
        id: id.to_string(),
        author: text(commit.author().name_bytes()),
        time: Timestamp::from_second(commit.time().seconds()).unwrap_or(Timestamp::UNIX_EPOCH),
        subject: text(commit.summary_bytes().unwrap_or_default()),
    })
}

/// How many plans a commit's message says it may remove.
pub(super) fn allowed_removal(message: &[u8]) -> Option<usize> {
    let numbers = trailers(message, ALLOW_REMOVAL).into_iter().filter_map(|value| value.parse().ok());
    numbers.reduce(usize::saturating_add)
}

/// Whether a commit's message says that `from` may be given up, by its whole id.
pub(super) fn accepts_rewrite(message: &[u8], from: Oid) -> bool {
    trailers(message, ACCEPT_REWRITE).iter().any(|value| value.eq_ignore_ascii_case(&from.to_string()))
}

/// The values of a trailer.
pub(super) fn trailers(message: &[u8], name: &str) -> Vec<String> {
    // libgit2 ends a message at a NUL, which an argument of it may not hold.
    let message = message.split(|byte| *byte == 0).next().unwrap_or_default();
    let Ok(trailers) = git2::message_trailers_bytes(message) else { return Vec::new() };
    let of_name = trailers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()));
    of_name.filter_map(|(_, value)| Some(std::str::from_utf8(value).ok()?.trim().to_owned())).collect()
}

/// Control characters and those that reorder text are escaped, so that a message cannot forge a line of a log.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (count, letter) in text.chars().enumerate() {
        if count == SHOWN_MAX {
            shown.push('…');
            break;
        }
        let reorders =
            matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if letter.is_control() || reorders {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_commit_cannot_move_the_cursor_or_turn_its_line_around() {
        assert_eq!(shown("fix \u{1b}[2J\r\u{202e}x"), "fix \\u{1b}[2J\\r\\u{202e}x");
        assert_eq!(shown("Grüße 🚀"), "Grüße 🚀");
        assert_eq!(shown(&"a".repeat(300)).chars().count(), SHOWN_MAX + 1);
    }

    #[test]
    fn removals_are_allowed_by_a_trailer_only() {
        let allowed = |message: &str| allowed_removal(message.as_bytes());
        assert_eq!(allowed("Retire web\n\nTidegate-Allow-Removal: 12\n"), Some(12));
        assert_eq!(allowed("Retire web\n\nSigned-off-by: a\ntidegate-allow-removal: 3\n"), Some(3));
        assert_eq!(allowed("Say Tidegate-Allow-Removal: 12\n\nas text, not as trailer\n"), None);
        assert_eq!(allowed("Retire web\n\nTidegate-Allow-Removal: all\n"), None);
    }

    #[test]
    fn a_rewrite_is_accepted_by_the_whole_id_of_what_is_given_up() {
        let id = "4f2c8a6b1d3e5f708192a3b4c5d6e7f801234567";
        let accepts = |text: &str| accepts_rewrite(text.as_bytes(), Oid::from_str(id).unwrap());
        assert!(accepts(&format!("Start anew\n\ntidegate-accept-rewrite: {}\n", id.to_uppercase())));
        assert!(!accepts(&format!("Start anew\n\nTidegate-Accept-Rewrite: {}\n", &id[..10])));
        assert!(!accepts(&format!("Tidegate-Accept-Rewrite: {id}\n\nas text\n")));
    }
}
