//! Checks regular expressions by the syntax of RE2, as Istio does: no look-around, no back-references, bounded counts.

use std::{collections::BTreeSet, iter::Peekable, str::Chars};

/// The largest count of a repetition, also of nested ones multiplied.
const REPEAT_MAX: u32 = 1_000;

/// What is wrong with an expression; none where RE2 takes it.
pub(super) fn fault(expression: &str) -> Option<&'static str> {
    let mut reader = Reader { rest: expression.chars().peekable(), names: BTreeSet::new() };
    let whole = reader.alternatives();
    match whole {
        Err(fault) => Some(fault),
        Ok(_) if reader.rest.peek().is_some() => Some("has a `)` without a `(`"),
        Ok(_) => None,
    }
}

struct Reader<'e> {
    rest: Peekable<Chars<'e>>,
    names: BTreeSet<String>,
}

/// The classes of `[:name:]`.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];
/// The general categories of Unicode, and the scripts that people match by. Istio knows all scripts.
const UNICODE: [&str; 52] = [
    "Any",
    "C",
    "Cc",
    "Cf",
    "Co",
    "Cs",
    "L",
    "Ll",
    "Lm",
    "Lo",
    "Lt",
    "Lu",
    "M",
    "Mc",
    "Me",
    "Mn",
    "N",
    "Nd",
    "Nl",
    "No",
    "P",
    "Pc",
    "Pd",
    "Pe",
    "Pf",
    "Pi",
    "Po",
    "Ps",
    "S",
    "Sc",
    "Sk",
    "Sm",
    "So",
    "Z",
    "Zl",
    "Zp",
    "Zs",
    "Arabic",
    "Armenian",
    "Common",
    "Cyrillic",
    "Devanagari",
    "Georgian",
    "Greek",
    "Han",
    "Hangul",
    "Hebrew",
    "Hiragana",
    "Katakana",
    "Latin",
    "Tamil",
    "Thai",
];
const LOOK_AROUND: &str = "has a group that RE2 does not know, such as look-around";
const NOTHING: &str = "repeats nothing";
const COUNT: &str = "repeats more than 1,000 times";
const ESCAPE: &str = "has an escape that RE2 does not know, such as a back-reference";
const CLASS: &str = "has a class of characters that is none";

/// How often what was read last is repeated within, if anything was read.
type Last = Option<u32>;

impl Reader<'_> {
    /// Reads to the end or to a `)`; returns the largest product of nested counts.
    fn alternatives(&mut self) -> Result<u32, &'static str> {
        let mut most = 1;
        let mut last: Last = None;
        let mut repeated = false;
        while let Some(c) = self.rest.next_if(|c| *c != ')') {
            let was_repeated = std::mem::take(&mut repeated);
            match c {
                '|' => last = None,
                '(' => last = self.group()?.or(last),
                '[' => last = self.class().map(|()| Some(1))?,
                '\\' => last = self.escape(last)?,
                '*' | '+' | '?' => {
                    last = Some(self.repeat(last, was_repeated, 1)?);
                    repeated = true;
                }
                '{' => match self.count()? {
                    None => last = Some(1),
                    Some(times) => {
                        last = Some(self.repeat(last, was_repeated, times)?);
                        repeated = true;
                    }
                },
                _ => last = Some(1),
            }
            most = most.max(last.unwrap_or(1));
        }
        Ok(most)
    }

    fn repeat(&mut self, last: Last, was_repeated: bool, times: u32) -> Result<u32, &'static str> {
        let within = last.ok_or(NOTHING)?;
        if was_repeated {
            return Err("repeats a repetition");
        }
        self.rest.next_if_eq(&'?');
        let product = within * times.max(1);
        if times > 1 && product > REPEAT_MAX { Err(COUNT) } else { Ok(product) }
    }

    /// The rest of `{n}`, `{n,}` or `{n,m}`; none where the brace stands for itself.
    fn count(&mut self) -> Result<Option<u32>, &'static str> {
        let mut ahead = self.rest.clone();
        let Some(least) = number(&mut ahead) else { return Ok(None) };
        let most = if ahead.next_if_eq(&',').is_none() {
            least
        } else if ahead.peek() == Some(&'}') {
            least.max(1)
        } else {
            match number(&mut ahead) {
                Some(most) => most,
                None => return Ok(None),
            }
        };
        if ahead.next() != Some('}') {
            return Ok(None);
        }
        self.rest = ahead;
        if least.max(most) > REPEAT_MAX || (most < least) { Err(COUNT) } else { Ok(Some(most)) }
    }

    /// The rest of a group; nothing where it only sets flags.
    fn group(&mut self) -> Result<Last, &'static str> {
        if self.rest.next_if_eq(&'?').is_some() {
            let named = self.rest.next_if_eq(&'P').is_some();
            if self.rest.next_if_eq(&'<').is_some() {
                self.name()?;
            } else if named {
                return Err(LOOK_AROUND);
            } else if self.flags()? {
                return Ok(None);
            }
        }
        let within = self.alternatives()?;
        self.rest.next().map(|_| Some(within)).ok_or("has a `(` without a `)`")
    }

    fn name(&mut self) -> Result<(), &'static str> {
        let mut name = String::new();
        loop {
            match self.rest.next() {
                Some('>') if !name.is_empty() => break,
                Some(c) if c.is_ascii_alphanumeric() || c == '_' => name.push(c),
                _ => return Err(LOOK_AROUND),
            }
        }
        if self.names.insert(name) { Ok(()) } else { Err("has two groups of one name") }
    }

    /// Reads flags; whether they stand for themselves, as in `(?i)`.
    fn flags(&mut self) -> Result<bool, &'static str> {
        let (mut negative, mut any) = (false, false);
        loop {
            match self.rest.next() {
                Some('i' | 'm' | 's' | 'U') => any = true,
                Some('-') if !negative => (negative, any) = (true, false),
                Some(end @ (':' | ')')) if any || !negative => return Ok(end == ')'),
                _ => return Err(LOOK_AROUND),
            }
        }
    }

    /// The rest of an escape outside a class.
    fn escape(&mut self, last: Last) -> Result<Last, &'static str> {
        match self.rest.peek() {
            Some('A' | 'b' | 'B' | 'z' | 'd' | 'D' | 's' | 'S' | 'w' | 'W') => {
                self.rest.next();
                Ok(Some(1))
            }
            Some('Q') => {
                self.rest.next();
                Ok(self.quoted().or(last))
            }
            Some('p' | 'P') => self.unicode().map(|()| Some(1)),
            _ => self.character().map(|_| Some(1)),
        }
    }

    /// The text up to `\E` or the end, each character for itself.
    fn quoted(&mut self) -> Last {
        let mut last = None;
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                break;
            }
            last = Some(1);
        }
        last
    }

    /// The rest of `\pN` or `\p{Name}`.
    fn unicode(&mut self) -> Result<(), &'static str> {
        self.rest.next();
        let name: String = match self.rest.next() {
            Some('{') => {
                let mut name = String::new();
                loop {
                    match self.rest.next() {
                        Some('}') => break name,
                        Some(c) => name.push(c),
                        None => return Err(CLASS),
                    }
                }
            }
            Some(c) => c.to_string(),
            None => return Err(CLASS),
        };
        if UNICODE.contains(&name.trim_start_matches('^')) { Ok(()) } else { Err(CLASS) }
    }

    /// The rest of an escape that stands for one character.
    fn character(&mut self) -> Result<u32, &'static str> {
        let c = self.rest.next().ok_or("ends in a backslash")?;
        match c {
            '1'..='7' if !self.rest.peek().is_some_and(|c| ('0'..='7').contains(c)) => Err(ESCAPE),
            '0'..='7' => {
                let mut code = c.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = self.rest.peek().and_then(|c| c.to_digit(8)) else { break };
                    self.rest.next();
                    code = code * 8 + digit;
                }
                Ok(code)
            }
            'x' => self.hex(),
            'a' => Ok(7),
            'f' => Ok(12),
            'n' => Ok(10),
            'r' => Ok(13),
            't' => Ok(9),
            'v' => Ok(11),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok(u32::from(c)),
            _ => Err(ESCAPE),
        }
    }

    fn hex(&mut self) -> Result<u32, &'static str> {
        if self.rest.next_if_eq(&'{').is_some() {
            let mut code = None;
            loop {
                match self.rest.next() {
                    Some('}') => return code.ok_or(ESCAPE),
                    Some(c) => {
                        let digit = c.to_digit(16).ok_or(ESCAPE)?;
                        let next = code.unwrap_or(0) * 16 + digit;
                        code = (next <= 0x10_ffff).then_some(next);
                        code.ok_or(ESCAPE)?;
                    }
                    None => return Err(ESCAPE),
                }
            }
        }
        let mut digit = || self.rest.next().and_then(|c| c.to_digit(16)).ok_or(ESCAPE);
        Ok(digit()? * 16 + digit()?)
    }

    /// The rest of a class.
    fn class(&mut self) -> Result<(), &'static str> {
        const OPEN: &str = "has a `[` without a `]`";
        self.rest.next_if_eq(&'^');
        let mut first = true;
        loop {
            let c = *self.rest.peek().ok_or(OPEN)?;
            if c == ']' && !first {
                self.rest.next();
                return Ok(());
            }
            first = false;
            if c == '[' && self.posix()? {
                continue;
            }
            let mut ahead = self.rest.clone();
            if ahead.next() == Some('\\') {
                match ahead.peek() {
                    Some('d' | 'D' | 's' | 'S' | 'w' | 'W') => {
                        ahead.next();
                        self.rest = ahead;
                        continue;
                    }
                    Some('p' | 'P') => {
                        self.rest = ahead;
                        self.unicode()?;
                        continue;
                    }
                    _ => {}
                }
            }
            let low = self.member().map_err(|fault| fault.unwrap_or(OPEN))?;
            let mut ahead = self.rest.clone();
            if ahead.next() == Some('-') && ahead.peek().is_some_and(|c| *c != ']') {
                self.rest = ahead;
                let high = self.member().map_err(|fault| fault.unwrap_or(OPEN))?;
                if high < low {
                    return Err("has a range of characters that runs backwards");
                }
            }
        }
    }

    /// One character of a class; an error of none where there is no more.
    fn member(&mut self) -> Result<u32, Option<&'static str>> {
        match self.rest.next() {
            Some('\\') => self.character().map_err(Some),
            Some(c) => Ok(u32::from(c)),
            None => Err(None),
        }
    }

    /// Reads `[:name:]`, if it stands here.
    fn posix(&mut self) -> Result<bool, &'static str> {
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('[') || ahead.next() != Some(':') {
            return Ok(false);
        }
        let mut name = String::new();
        loop {
            match ahead.next() {
                Some(':') if ahead.next_if_eq(&']').is_some() => break,
                Some(c) => name.push(c),
                // Without its end it is a `[` of its own.
                None => return Ok(false),
            }
        }
        self.rest = ahead;
        if POSIX.contains(&name.strip_prefix('^').unwrap_or(&name)) { Ok(true) } else { Err(CLASS) }
    }
}

/// A number without leading zeros; one that is far too large stands for itself all the same.
fn number(rest: &mut Peekable<Chars<'_>>) -> Option<u32> {
    let mut digits = String::new();
    while let Some(digit) = rest.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    Some(digits.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_re2_takes_is_taken() {
        for good in [
            "",
            "a*",
            "(a|b)+?",
            "/users/{id}",
            "a{2,3}",
            "a{2,}",
            "a{,3}",
            "[^]a-z\\d]",
            "[[:alpha:]_-]",
            "\\Qa*\\E+",
            "(?i)a(?P<n>b)(?<m>c)",
            "(?i:a)",
            "\\x{1F600}\\x41\\101",
            "^$",
            "\\p{Greek}\\pN[\\p{^Lu}]",
            "[a-]",
            "()",
            "|",
            "(a*)*",
            "a{01}",
            "[[:alpha]",
            "\\_\\-\\/",
            "(?i-s)x",
            "(?:a{10}){100}",
            "a{0}",
            "x{1000}",
        ] {
            assert_eq!(fault(good), None, "{good}");
        }
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        for bad in [
            "(",
            ")",
            "(?=a)",
            "(?!a)",
            "(?<=a)b",
            "(?<!a)",
            "*a",
            "a**",
            "a+*",
            "|*",
            "(*)",
            "a{1001}",
            "a{3,2}",
            "\\1",
            "\\8",
            "[a",
            "[z-a]",
            "[a-\\d]",
            "\\",
            "\\y",
            "\\C",
            "\\Z",
            "\\p{Nope}",
            "[[:nope:]]",
            "(?P<>a)",
            "(?P<a>x)(?P<a>y)",
            "(?x)a",
            "a{2}{3}",
            "(?i",
            "(?Pi)",
            "(a",
            "\\x{110000}",
            "\\xg",
            "(?-)a",
            "(?:a{100}){100}",
            "(?i)*",
            "a{99999999999}",
        ] {
            assert!(fault(bad).is_some(), "{bad}");
        }
    }
}
