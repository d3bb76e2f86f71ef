//! Where the log goes and in which form: one line an event, whatever the words in it are.

use tracing_subscriber::{
    EnvFilter,
    field::MakeExt as _,
    fmt::format::{self, FormatFields},
};

use super::terminal;

/// Starts logging to standard error, as `text` or `json`.
pub(super) fn start(format: &str) {
    let filter = EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| EnvFilter::new("info,kube=warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber is refused: then the first one is in place already.
    let _ = if format == "json" {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).with_ansi(false).try_init()
    } else {
        builder.with_ansi(terminal::colored_errors()).fmt_fields(one_line()).try_init()
    };
}

/// Writes what others said, such as a stop's reason or a server's words, so that it cannot be taken for lines of ours.
fn one_line() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    let fields = format::debug_fn(|writer, field, value| {
        let text = escaped(&format!("{value:?}"));
        match field.name() {
            "message" => write!(writer, "{text}"),
            // What the `log` crate's records carry beside their message.
            name if name.starts_with("log.") => Ok(()),
            name => write!(writer, "{name}={text}"),
        }
    });
    fields.delimited(" ")
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(escaped("a\n\u{1b}[31mü\u{9b}\t"), "a\\n\\u{1b}[31mü\\u{9b}\\t");
    }
}
