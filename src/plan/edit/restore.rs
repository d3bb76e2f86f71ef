//! Puts one document back to what it was at another commit.

use super::segment::{Separator, line_end, place, says, split};
use super::{Change, Conflict, Found, PlanKey, Texts, checked, find};

/// The change that makes the plan's document at the tip say, byte for byte, what it said `then`; none where it does.
///
/// It is put where the document stands now. Where the tip has none, it goes back to the file that it stood in then, after
/// what is there. A bare `---` is no part of a document: the file's own ones stay.
///
/// # Errors
/// [`Conflict`] where `then` does not have the plan, where either side is not clear, and where the outcome is not valid.
pub fn restore(tip: &Texts, then: &Texts, key: &PlanKey) -> Result<Option<Change>, Conflict> {
    let missing = || Conflict::Missing { key: key.clone(), commit: then.commit.clone() };
    let old = find(then, key)?.ok_or_else(missing)?;
    match find(tip, key)? {
        Some(now) => replace(&now, &old, key),
        None => put_back(tip, &old, key).map(Some),
    }
}

impl Found<'_> {
    fn part(&self) -> &str {
        self.text.get(self.segment.bytes.clone()).unwrap_or_default()
    }
}

fn replace(now: &Found<'_>, old: &Found<'_>, key: &PlanKey) -> Result<Option<Change>, Conflict> {
    let (before, after) = (now.text.get(..now.segment.bytes.start), now.text.get(now.segment.bytes.end..));
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    let (own, _) = split(now.part());
    let (its, rest) = split(old.part());
    let end = line_end(now.text);
    let lead = match (own, its) {
        (_, Separator::Rich) | (Separator::None, _) => String::new(),
        (Separator::Bare(own), _) => own.to_owned(),
        (Separator::Rich, Separator::Bare(its)) => its.to_owned(),
        (Separator::Rich, Separator::None) if is_first(before) => String::new(),
        (Separator::Rich, Separator::None) => format!("---{end}"),
    };
    // The line end that the next separator needs is the one that stands before it now.
    let gap = match now.part() {
        _ if after.is_empty() || rest.ends_with('\n') => "",
        part if part.ends_with("\r\n") => "\r\n",
        _ => "\n",
    };
    let text = format!("{before}{lead}{rest}{gap}{after}");
    if text == now.text {
        return Ok(None);
    }
    let mut meant = says(now.text);
    if let (Some(place), Ok(Some(node))) = (meant.get_mut(place(now.text, before.len())), &old.segment.node) {
        *place = node.value();
    }
    checked(now.path, text, &meant, key).map(Some)
}

/// Whether nothing of a file stands before the document but a byte order mark.
fn is_first(before: &str) -> bool {
    before.trim_start_matches('\u{feff}').is_empty()
}

fn put_back(tip: &Texts, old: &Found<'_>, key: &PlanKey) -> Result<Change, Conflict> {
    let unreadable =
        || Conflict::Unreadable { key: key.clone(), commit: tip.commit.clone(), path: old.path.to_owned() };
    let file = tip.files.get(old.path).map(|bytes| std::str::from_utf8(bytes).map_err(|_| unreadable())).transpose()?;
    let mut meant = file.map(says).unwrap_or_default();
    if let Ok(Some(node)) = &old.segment.node {
        meant.push(node.value());
    }
    let (its, rest) = split(old.part());
    let text = match file.filter(|text| !is_first(text)) {
        // Nothing else stood in its file: the file comes back as it was.
        None if says(old.text).len() == 1 => old.text.to_owned(),
        None => rest.to_owned(),
        Some(text) => {
            let end = line_end(text);
            let gap = if text.ends_with('\n') { "" } else { end };
            let lead = match its {
                Separator::Rich => String::new(),
                Separator::Bare(its) if its.ends_with('\n') => its.to_owned(),
                Separator::Bare(_) | Separator::None => format!("---{end}"),
            };
            format!("{text}{gap}{lead}{rest}")
        }
    };
    checked(old.path, text, &meant, key)
}
