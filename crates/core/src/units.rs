//! Quantities as people write them in documents: `1500ms`, `512MiB`, `25%`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::text::as_text;

/// Why a text is not a quantity. Says what was expected, in the words of a document's author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAQuantity(pub String);

/// A length of time: a sequence of numbers with units, largest unit first or not: `1500ms`, `2m`, `1h30m`, `1.5s`.
///
/// Units: `ms`, `s`, `m`, `h`, `d`. Never negative. At most 30 days: nothing in Fracas lasts for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub Duration);

impl Span {
    /// The longest span that a document can ask for.
    pub const MAX: Self = Self(Duration::from_hours(30 * 24));

    /// A span of whole seconds.
    pub const fn secs(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }

    /// A span of milliseconds.
    pub const fn millis(n: u64) -> Self {
        Self(Duration::from_millis(n))
    }

    /// The length in seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0.as_secs_f64()
    }
}

impl FromStr for Span {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let bad = |why: &str| {
            NotAQuantity(format!(
                "{text:?} is not a duration: {why}; write it like 1500ms, 30s, 2m or 1h30m"
            ))
        };
        let nanos = nanoseconds(text).map_err(|why| bad(&why))?;
        // Checked before the cast: a float beyond the range would saturate and hide the mistake.
        if nanos > Self::MAX.0.as_nanos() as f64 {
            return Err(bad("it is longer than 30 days"));
        }
        Ok(Self(Duration::from_nanos(nanos.round() as u64)))
    }
}

/// Reads a length of time, of whatever length. The error is the reason.
fn nanoseconds(text: &str) -> Result<f64, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("it is empty".to_owned());
    }
    if rest.starts_with('-') {
        return Err("it is negative".to_owned());
    }
    if rest == "0" {
        return Ok(0.0);
    }
    let mut nanos = 0f64;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits]
            .parse()
            .map_err(|_| "a number is missing before the unit".to_owned())?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        nanos += number
            * match &rest[..letters] {
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                "d" => 86400e9,
                "" => return Err("the unit is missing".to_owned()),
                unit => return Err(format!("{unit:?} is not a unit of time (ms, s, m, h, d)")),
            };
        rest = &rest[letters..];
    }
    Ok(nanos)
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_millis(self.0.as_millis() as u64, f)
    }
}

fn write_millis(millis: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (h, m, s, ms) = (
        millis / 3_600_000,
        millis / 60_000 % 60,
        millis / 1000 % 60,
        millis % 1000,
    );
    let mut wrote = false;
    for (value, unit) in [(h, "h"), (m, "m"), (s, "s"), (ms, "ms")] {
        if value > 0 {
            write!(f, "{value}{unit}")?;
            wrote = true;
        }
    }
    if wrote { Ok(()) } else { f.write_str("0s") }
}

/// A difference of times: `+5m`, `-1h30m`, `90s`; without a sign it is later.
///
/// Units: `ms`, `s`, `m`, `h`, `d`; whole milliseconds. At most 3650 days in either direction, and not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset {
    millis: i64,
}

impl Offset {
    /// The largest, in days.
    const MAX_DAYS: i64 = 3650;

    /// In nanoseconds; negative: earlier.
    pub fn as_nanos(self) -> i64 {
        self.millis * 1_000_000
    }
}

impl FromStr for Offset {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let bad = |why: &str| {
            NotAQuantity(format!(
                "{text:?} is not a difference of times: {why}; write it like +5m, -1h or 1500ms"
            ))
        };
        let trimmed = text.trim();
        let (sign, length) = match trimmed.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, trimmed.strip_prefix('+').unwrap_or(trimmed)),
        };
        let millis = nanoseconds(length).map_err(|why| bad(&why))? / 1e6;
        // Checked before the cast, see above.
        if millis > (Self::MAX_DAYS * 86_400_000) as f64 {
            return Err(bad("it is more than 3650 days"));
        }
        if millis.round() == 0.0 {
            return Err(bad("it is nothing"));
        }
        Ok(Self {
            millis: sign * millis.round() as i64,
        })
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.millis < 0 { "-" } else { "+" })?;
        write_millis(self.millis.unsigned_abs(), f)
    }
}

/// An amount of bytes: `512MiB`, `64k`, `1GB`, `4096`.
///
/// `KiB MiB GiB TiB` and, as Docker and cgroups have it, bare `k m g t` are powers of 1024; `kB MB GB TB` are powers of 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Size(pub u64);

impl Size {
    /// So many mebibytes.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }
}

impl FromStr for Size {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let bad = |why: &str| {
            NotAQuantity(format!(
                "{text:?} is not a size: {why}; write it like 512MiB, 64k or 1GB"
            ))
        };
        let trimmed = text.trim();
        if trimmed.starts_with('-') {
            return Err(bad("it is negative"));
        }
        let digits = trimmed
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(trimmed.len());
        let number: f64 = trimmed[..digits]
            .parse()
            .map_err(|_| bad("it does not begin with a number"))?;
        let unit: f64 = match trimmed[digits..].trim() {
            "" | "B" | "b" => 1.0,
            "k" | "K" | "Ki" | "KiB" => 1024.0,
            "m" | "M" | "Mi" | "MiB" => 1_048_576.0,
            "g" | "G" | "Gi" | "GiB" => 1_073_741_824.0,
            "t" | "T" | "Ti" | "TiB" => 1_099_511_627_776.0,
            "kB" | "KB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "TB" => 1e12,
            other => return Err(bad(&format!("{other:?} is not a unit of size"))),
        };
        let bytes = number * unit;
        if bytes > i64::MAX as f64 {
            return Err(bad("it is more than the kernel can count"));
        }
        Ok(Self(bytes.round() as u64))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if self.0 >= 1 << shift && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}B", self.0)
    }
}

/// A share in per cent: `25%` or the bare number `25`. Never negative; whether more than 100 has a meaning, the key says.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Percent(pub f64);

impl Percent {
    /// The share as a fraction: 0.25 for 25 %.
    pub fn fraction(self) -> f64 {
        self.0 / 100.0
    }
}

impl FromStr for Percent {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let bad = |why: &str| NotAQuantity(format!("{text:?} is not a percentage: {why}; write it like 25%"));
        let number = text.trim().trim_end_matches('%').trim_end();
        let value: f64 = number.parse().map_err(|_| bad("it is not a number"))?;
        if !value.is_finite() || value < 0.0 {
            return Err(bad("it is negative or not finite"));
        }
        Ok(Self(value))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// How many bits pass in a second: `10mbit`, `512kbit`, `1gbit`, as tc(8) has them. Units `bit kbit mbit gbit` are powers of 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rate(pub u64);

impl Rate {
    /// The highest that a document can ask for.
    pub const MAX: Self = Self(100_000_000_000);
}

impl FromStr for Rate {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let bad = |why: &str| {
            NotAQuantity(format!(
                "{text:?} is not a rate: {why}; write it like 10mbit or 512kbit"
            ))
        };
        let trimmed = text.trim();
        if trimmed.starts_with('-') {
            return Err(bad("it is negative"));
        }
        let digits = trimmed
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(trimmed.len());
        let number: f64 = trimmed[..digits]
            .parse()
            .map_err(|_| bad("it does not begin with a number"))?;
        let unit = match trimmed[digits..].trim() {
            "bit" => 1.0,
            "kbit" => 1e3,
            "mbit" => 1e6,
            "gbit" => 1e9,
            "" => return Err(bad("the unit is missing")),
            unit => return Err(bad(&format!("{unit:?} is not a unit of rate (bit, kbit, mbit, gbit)"))),
        };
        let bits = number * unit;
        if bits > Self::MAX.0 as f64 {
            return Err(bad("it is more than 100gbit"));
        }
        Ok(Self(bits.round() as u64))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bits, unit) in [(1_000_000_000, "gbit"), (1_000_000, "mbit"), (1000, "kbit")] {
            if self.0 >= bits && self.0.is_multiple_of(bits) {
                return write!(f, "{}{unit}", self.0 / bits);
            }
        }
        write!(f, "{}bit", self.0)
    }
}

// Only sizes and percentages have a bare form: a number alone is never a duration, for nobody agrees on its unit.
as_text!(Span, "a duration such as 1500ms, 30s or 1h30m", {
    "description": "A duration: 1500ms, 30s, 2m, 1h30m. Units ms, s, m, h, d; at most 30 days.",
    "type": "string",
    "pattern": "^(0|([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+)$"
});
as_text!(Offset, "a difference of times such as +5m or -1h", {
    "description": "A difference of times: +5m, -1h30m. Units ms, s, m, h, d; at most 3650 days.",
    "type": "string",
    "pattern": "^[+-]?([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+$"
});
as_text!(Size, "a size such as 512MiB", {
    "description": "A size: 512MiB, 64k, 1GB, or a number of bytes.",
    "anyOf": [{ "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? ?[A-Za-z]*$" }, { "type": "integer", "minimum": 0 }]
});
as_text!(Percent, "a percentage such as 25%", {
    "description": "A percentage: 25% or 25.",
    "anyOf": [{ "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? ?%?$" }, { "type": "number", "minimum": 0 }]
});

as_text!(Rate, "a rate such as 10mbit", {
    "description": "A rate: 10mbit, 512kbit. Units bit, kbit, mbit, gbit; at most 100gbit.",
    "type": "string",
    "pattern": "^[0-9]+(\\.[0-9]+)? ?(bit|kbit|mbit|gbit)$"
});

#[cfg(test)]
mod tests;
