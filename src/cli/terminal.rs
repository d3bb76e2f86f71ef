//! What the terminal can show, and what text from elsewhere may be shown on it.

use std::{
    fmt,
    io::{self, IsTerminal as _, Write as _},
};

/// Prints a line, as `println!` does, apart from a reader who has gone: see [`line`].
macro_rules! say {
    ($($argument:tt)*) => { $crate::cli::terminal::line(format_args!($($argument)*)) };
}

pub(super) use say;

/// Prints a line. A reader who has gone, such as `head`, has seen enough: the command ends well.
pub(super) fn line(text: fmt::Arguments<'_>) {
    write(&format!("{text}\n"));
}

/// Prints text as it is, under the same rule.
pub(super) fn write(text: &str) {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(i32::from(super::DONE)),
        Err(error) => {
            eprintln!("error: cannot write to standard output: {error}");
            std::process::exit(i32::from(super::UNREACHED));
        }
    }
}

/// Whether standard output takes colours: a terminal, and neither `NO_COLOR` nor a dumb one.
pub(super) fn colored() -> bool {
    std::io::stdout().is_terminal() && allowed()
}

/// The same for standard error.
pub(super) fn colored_errors() -> bool {
    std::io::stderr().is_terminal() && allowed()
}

fn allowed() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Text from elsewhere without control characters.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Text in at most so many characters: of longer one the middle is left out, as names mostly differ at their ends.
pub(super) fn cut(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let (head, tail) = (most.saturating_sub(1).div_ceil(2), most.saturating_sub(1) / 2);
    text.chars().take(head).chain(['…']).chain(text.chars().skip(count - tail)).collect()
}

/// Columns of a table, padded to their widest cell; the last one is not.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    spaced(rows, 3)
}

/// The same with so many blanks between the columns.
pub(super) fn spaced(rows: &[Vec<String>], blanks: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let gap = width + blanks - cell.chars().count();
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', gap));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_ends_without_blanks() {
        let rows = [vec!["A".to_owned(), "B".to_owned()], vec!["long".to_owned(), "x".to_owned()]];
        assert_eq!(table(&rows), "A      B\nlong   x\n");
    }

    #[test]
    fn what_is_too_long_keeps_both_its_ends() {
        assert_eq!(cut("prod-eu-west-1", 14), "prod-eu-west-1");
        assert_eq!(cut("prod-eu-west-1", 9), "prod…st-1");
        assert_eq!(cut("größer-als-das", 8), "größ…das");
    }

    #[test]
    fn text_from_elsewhere_cannot_drive_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\n"), "a\u{fffd}[31mb\u{fffd}");
    }
}
