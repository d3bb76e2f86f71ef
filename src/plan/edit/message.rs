//! The message of a commit that tidegate makes: a subject, and trailers that machines read.

use std::fmt;

use crate::plan::PlanKey;

/// Names the plan, `namespace/name`.
pub const PLAN_TRAILER: &str = "Tidegate-Plan";
/// Says why, in one line.
pub const REASON_TRAILER: &str = "Tidegate-Reason";
/// The commit whose text the document has again.
pub const RESTORES_TRAILER: &str = "Tidegate-Restores";
/// The commit that is undone.
pub const UNDOES_TRAILER: &str = "Tidegate-Undoes";

/// The longest reason that is written, in characters.
const REASON_MAX: usize = 500;

/// What a commit of tidegate's says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// One line.
    pub subject: String,
    /// The plan.
    pub plan: PlanKey,
    /// Why; empty: nobody said.
    pub reason: String,
    /// The commit whose text the document has again, 40 hex digits.
    pub restores: Option<String>,
    /// The commit that is undone, 40 hex digits.
    pub undoes: Option<String>,
}

impl Message {
    /// A trailer with a value that is safe in it; none where there is nothing to say.
    pub fn trailer(name: &str, value: &str) -> Option<(String, String)> {
        Some((name.to_owned(), one_line(value))).filter(|(_, value)| !value.is_empty())
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trailers = [
            (PLAN_TRAILER, self.plan.to_string()),
            (REASON_TRAILER, self.reason.clone()),
            (RESTORES_TRAILER, self.restores.clone().unwrap_or_default()),
            (UNDOES_TRAILER, self.undoes.clone().unwrap_or_default()),
        ];
        writeln!(f, "{}\n", one_line(&self.subject))?;
        for (name, value) in trailers.iter().filter_map(|(name, value)| Self::trailer(name, value)) {
            writeln!(f, "{name}: {value}")?;
        }
        Ok(())
    }
}

/// Text without line ends and other control characters: a reason of another's must not forge a trailer.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_control() || c.is_whitespace() || "\u{2028}\u{2029}".contains(c));
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    line.chars().take(REASON_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_and_forges_no_trailer() {
        let message = Message {
            subject: "Roll back shop/web".into(),
            plan: PlanKey { namespace: "shop".into(), name: "web".into() },
            reason: "errors\nTidegate-Allow-Removal: 99\r\u{2028}x\u{1b}[2J".into(),
            restores: Some("a".repeat(40)),
            undoes: None,
        };
        insta::assert_snapshot!(message, @r"
        Roll back shop/web

        Tidegate-Plan: shop/web
        Tidegate-Reason: errors Tidegate-Allow-Removal: 99 x [2J
        Tidegate-Restores: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        ");
        let bare = Message { reason: String::new(), restores: None, ..message };
        assert_eq!(bare.to_string(), "Roll back shop/web\n\nTidegate-Plan: shop/web\n");
    }
}
