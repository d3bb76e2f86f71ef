//! Prints a finding as rustc prints its own: the line, the bytes underlined, the code, what to write instead.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{Finding, Place, Severity};

/// Longer lines than this are cut around the place before the renderer, which cuts to the width of a terminal, sees them.
const LINE_BYTES_MAX: usize = 16 * 1024;

const SENTENCE_CHARS_MAX: usize = 600;

/// The finding as text without a line feed at its end. `source` is the text of the file that the finding is in; without
/// it, only the file is named. Text that comes from the file is escaped, so that it cannot steer a terminal.
pub fn render(finding: &Finding, source: Option<&str>, color: bool) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group: Group<'_> = Group::with_title(level.primary_title(shown(&finding.message)).id(finding.code));
    if let Some(place) = &finding.place {
        group = match source.and_then(|source| Excerpt::of(source, place)) {
            Some(excerpt) => group.element(
                Snippet::source(excerpt.text)
                    .line_start(excerpt.line)
                    .path(escaped(&place.file))
                    .annotation(AnnotationKind::Primary.span(excerpt.start..excerpt.end)),
            ),
            None => group.element(Origin::path(escaped(&place.file))),
        };
    }
    for hint in &finding.hints {
        group = group.element(Level::HELP.message(shown(hint)));
    }
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

/// The line of a place, escaped, and the place in it.
struct Excerpt {
    line: usize,
    text: String,
    start: usize,
    end: usize,
}

impl Excerpt {
    fn of(source: &str, place: &Place) -> Option<Self> {
        if place.end == 0 {
            return None;
        }
        let before = source.get(..place.start)?;
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
        let rest = source.get(line_start..)?;
        let whole = rest.lines().next().unwrap_or_default();
        let start = (place.start - line_start).min(whole.len());
        let end = place.end.saturating_sub(line_start).clamp(start, whole.len());
        let (from, to) =
            (floor(whole, start.saturating_sub(LINE_BYTES_MAX / 2)), floor(whole, start + LINE_BYTES_MAX / 2));
        let (lead, end) = (if from > 0 { "…" } else { "" }, floor(whole, end.min(to)));
        let trail = if to < whole.len() { "…" } else { "" };
        let head = format!("{lead}{}", escaped(whole.get(from..start)?));
        let meant = escaped(whole.get(start..end)?);
        let text = format!("{head}{meant}{}{trail}", escaped(whole.get(end..to)?));
        Some(Self { line, start: head.len(), end: head.len() + meant.len(), text })
    }
}

/// The nearest boundary of a character at or before a byte.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// A sentence, escaped, of at most [`SENTENCE_CHARS_MAX`]: it may quote what the file says.
pub fn shown(sentence: &str) -> String {
    match sentence.char_indices().nth(SENTENCE_CHARS_MAX) {
        Some((end, _)) => escaped(sentence.get(..end).unwrap_or_default()) + "…",
        None => escaped(sentence),
    }
}

/// Text without characters that move a cursor, change colours or turn the direction of writing.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let hostile = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{61c}');
        if hostile && c != '\t' { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::codes;

    fn finding(start: usize, end: usize, message: &str) -> Finding {
        Finding {
            code: codes::PL01,
            severity: Severity::Error,
            message: message.to_owned(),
            place: Some(Place { file: "plans/web.yaml".to_owned(), start, end }),
            hints: vec!["did you mean `weight`?".to_owned()],
        }
    }

    #[test]
    fn a_finding_shows_line_span_code_and_hint() {
        let text = "steps:\n  - wieght: 5\n";
        insta::assert_snapshot!(render(&finding(11, 17, "unknown field `wieght`"), Some(text), false), @r"
        error[PL01]: unknown field `wieght`
         --> plans/web.yaml:2:5
          |
        2 |   - wieght: 5
          |     ^^^^^^
          |
          = help: did you mean `weight`?
        ");
    }

    #[test]
    fn hostile_text_is_escaped_everywhere() {
        let text = "a: \u{1b}[31m\u{202e}x\u{7}\n";
        let shown = render(&finding(3, 9, "unknown \u{1b}]0;x\u{7}"), Some(text), false);
        assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{7}']), "{shown}");
        assert!(shown.contains("\\u{1b}"), "{shown}");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("{}é: 1{}\n", "x".repeat(100_000), "é".repeat(100_000));
        let shown = render(&finding(100_000, 100_002, &"é".repeat(100_000)), Some(&text), false);
        assert!(shown.len() < 4_000 && shown.contains('^'), "{shown}");
    }

    #[test]
    fn a_place_outside_the_text_still_names_the_file() {
        for source in [None, Some("é"), Some("")] {
            let shown = render(&finding(1, 90, "unknown"), source, true);
            assert!(shown.contains("plans/web.yaml"), "{shown}");
        }
    }
}
