//! Lengths of time as plans write them: `1w2d3h4m5s`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, Serializer};

/// A length of time in whole seconds, written as `1w2d3h4m5s`: units in falling order, each at most once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Span {
    seconds: u64,
}

/// Why a text is not a [`Span`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration of the form 1w2d3h4m5s")]
pub struct ParseSpanError(String);

const UNITS: [(char, u64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Ten years: longer is a slip of the pen, and far below any overflow of a timestamp.
const LONGEST_S: u64 = 10 * 365 * 86_400;

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self { seconds: 0 };

    /// A span of whole seconds.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self { seconds }
    }

    /// The length in seconds.
    pub const fn seconds(self) -> u64 {
        self.seconds
    }
}

impl FromStr for Span {
    type Err = ParseSpanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseSpanError(text.to_owned());
        let mut rest = text;
        let mut units = UNITS.iter();
        let mut seconds = 0_u64;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
            let (digits, tail) = rest.split_at(end);
            let unit = tail.chars().next().ok_or_else(error)?;
            let (_, factor) = units.find(|(name, _)| *name == unit).ok_or_else(error)?;
            let count: u64 = digits.parse().map_err(|_| error())?;
            seconds = count.checked_mul(*factor).and_then(|part| seconds.checked_add(part)).ok_or_else(error)?;
            rest = tail.get(1..).ok_or_else(error)?;
        }
        if text.is_empty() || seconds > LONGEST_S { Err(error()) } else { Ok(Self { seconds }) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.seconds;
        if rest == 0 {
            return f.write_str("0s");
        }
        for (name, factor) in UNITS {
            if rest >= factor {
                write!(f, "{}{name}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl TryFrom<String> for Span {
    type Error = ParseSpanError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_written_as_it_is_read() {
        for text in ["0s", "5s", "10m", "1h30m", "1w2d3h4m5s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("90s".parse::<Span>().unwrap().to_string(), "1m30s");
    }

    #[test]
    fn a_number_without_unit_or_with_units_out_of_order_is_refused() {
        for text in ["", "10", "m", "5m1h", "1h1h", "-1s", "1.5h", "1 h", "99999999999999999999s", "1000w"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
