//! Quantities as the file writes them (`10MiB`, `99.9%`, `100/min`, `0.5`), each its own type.

use std::fmt;
use std::str::FromStr;

/// Why a text is not the wanted quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not {wanted}")]
pub struct QuantityError {
    found: String,
    wanted: &'static str,
}

impl QuantityError {
    fn new(found: &str, wanted: &'static str) -> Self {
        Self { found: found.to_owned(), wanted }
    }
}

/// A number of bytes. Written with a unit of the power of two (`KiB`, `MiB`, `GiB`, `TiB`) or of ten
/// (`kB`, `MB`, `GB`, `TB`), or as `B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ByteSize(u64);

const BYTE_SIZE: &str = "a size such as 512MiB, 10GiB or 64kB";
const SIZE_UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

impl ByteSize {
    /// A size in bytes.
    pub const fn bytes(count: u64) -> Self {
        Self(count)
    }

    /// A size in mebibytes (2^20 bytes).
    pub const fn mebibytes(count: u64) -> Self {
        Self(count << 20)
    }

    /// The number of bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }

    /// The sum, kept at the largest size when it does not fit.
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The product, kept at the largest size when it does not fit.
    pub const fn saturating_mul(self, times: u64) -> Self {
        Self(self.0.saturating_mul(times))
    }
}

impl FromStr for ByteSize {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let bad = || QuantityError::new(text, BYTE_SIZE);
        let (number, unit) =
            SIZE_UNITS.iter().find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit))).ok_or_else(bad)?;
        let thousandths = parse_thousandths(number.trim_end()).ok_or_else(bad)?;
        let bytes = u128::from(thousandths) * u128::from(unit) / 1000;
        u64::try_from(bytes).map(Self).map_err(|_| bad())
    }
}

impl fmt::Display for ByteSize {
    /// The largest binary unit that leaves at least 1, with one decimal where it is not whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, divisor) =
            SIZE_UNITS[..4].iter().rev().find(|(_, divisor)| self.0 >= *divisor).copied().unwrap_or(("B", 1));
        let tenths = u128::from(self.0) * 10 / u128::from(divisor);
        let text = match tenths % 10 {
            0 => format!("{}{unit}", tenths / 10),
            rest => format!("{}.{rest}{unit}", tenths / 10),
        };
        f.pad(&text)
    }
}

/// A share from 0 % to 100 %, kept in thousandths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(u32);

const PERCENT: &str = "a share from 0% to 100% such as 99.9%, with at most three decimals";

impl Percent {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// Everything.
    pub const WHOLE: Self = Self(100_000);

    /// A whole number of percent. Panics above 100 (a constant's mistake, not an input's).
    pub const fn whole(percent: u32) -> Self {
        assert!(percent <= 100, "a share is at most 100 %");
        Self(percent * 1000)
    }

    /// A share from thousandths of a percent, held to 100 %.
    pub const fn from_thousandths(count: u32) -> Self {
        Self(if count > 100_000 { 100_000 } else { count })
    }

    /// The share in thousandths of a percent, 0 to 100,000.
    pub const fn thousandths(self) -> u32 {
        self.0
    }

    /// What is missing to 100 %: the error budget of an availability objective.
    pub const fn complement(self) -> Self {
        Self(100_000 - self.0)
    }
}

impl FromStr for Percent {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let bad = || QuantityError::new(text, PERCENT);
        let number = text.strip_suffix('%').ok_or_else(bad)?;
        let thousandths = parse_thousandths(number).ok_or_else(bad)?;
        match u32::try_from(thousandths) {
            Ok(value) if value <= 100_000 => Ok(Self(value)),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}%", format_thousandths(u64::from(self.0))))
    }
}

/// Processor time per wall time, kept in thousandths of one core: `2`, `0.5`, `1.25`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CpuShare(u32);

const CPU_SHARE: &str = "a number of cores above 0, such as 2 or 0.5, with at most three decimals";

impl CpuShare {
    /// A number of thousandths of a core.
    pub const fn millicores(count: u32) -> Self {
        Self(count)
    }

    /// The share in thousandths of a core.
    pub const fn as_millicores(self) -> u32 {
        self.0
    }
}

impl FromStr for CpuShare {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let bad = || QuantityError::new(text, CPU_SHARE);
        let thousandths = parse_thousandths(text).ok_or_else(bad)?;
        match u32::try_from(thousandths) {
            Ok(value) if value > 0 => Ok(Self(value)),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for CpuShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format_thousandths(u64::from(self.0)))
    }
}

/// A number of events per period: `100/min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    /// Events allowed in one period, at least 1.
    pub events: u32,
    /// The period.
    pub per: RatePeriod,
}

/// The period of a [`Rate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RatePeriod {
    /// One second, written `s`.
    Second,
    /// One minute, written `min`.
    Minute,
    /// One hour, written `h`.
    Hour,
}

const RATE: &str = "a rate such as 100/min, 5/s or 1000/h";

impl RatePeriod {
    const ALL: [(RatePeriod, &'static str); 3] =
        [(RatePeriod::Second, "s"), (RatePeriod::Minute, "min"), (RatePeriod::Hour, "h")];

    /// The period as the file writes it.
    pub fn unit(self) -> &'static str {
        match self {
            RatePeriod::Second => "s",
            RatePeriod::Minute => "min",
            RatePeriod::Hour => "h",
        }
    }
}

impl FromStr for Rate {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let bad = || QuantityError::new(text, RATE);
        let (events, unit) = text.split_once('/').ok_or_else(bad)?;
        let events = parse_digits(events).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0).ok_or_else(bad)?;
        let (per, _) = RatePeriod::ALL.into_iter().find(|(_, name)| *name == unit).ok_or_else(bad)?;
        Ok(Self { events, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.events, self.per.unit()))
    }
}

macro_rules! text_form {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = QuantityError;

            fn try_from(text: String) -> Result<Self, QuantityError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    )*};
}
text_form!(Percent, CpuShare, Rate);

/// Digits only: no sign, no blank, no exponent.
pub(crate) fn parse_digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// `12`, `12.5` or `12.345` in thousandths; more decimals are refused rather than rounded.
fn parse_thousandths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || fraction.len() > 3 {
        return None;
    }
    let padded = format!("{fraction:0<3}");
    parse_digits(whole)?.checked_mul(1000)?.checked_add(parse_digits(&padded)?)
}

fn format_thousandths(value: u64) -> String {
    let text = format!("{}.{:03}", value / 1000, value % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_print() {
        for (text, bytes) in [("1KiB", 1024), ("1.5MiB", 1_572_864), ("2GB", 2_000_000_000), ("7B", 7), ("0B", 0)] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for bad in ["", "12", "1 .MiB", "-1MiB", "1mib", "1.2345MiB", "99999999TiB", "MiB", "+1B"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
        }
        assert_eq!(ByteSize(1_572_864).to_string(), "1.5MiB");
        assert_eq!(ByteSize(1023).to_string(), "1023B");
    }

    #[test]
    fn percents_read_and_print() {
        assert_eq!("99.9%".parse::<Percent>().unwrap().thousandths(), 99_900);
        assert_eq!("99.9%".parse::<Percent>().unwrap().complement().to_string(), "0.1%");
        assert_eq!("100%".parse::<Percent>(), Ok(Percent::WHOLE));
        for bad in ["100.001%", "99.9", "-1%", "%", "1.2345%"] {
            assert!(bad.parse::<Percent>().is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_and_cores_read_and_print() {
        assert_eq!("100/min".parse::<Rate>().unwrap().to_string(), "100/min");
        for bad in ["0/min", "100", "100/m", "/s", "1.5/s"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
        assert_eq!("0.25".parse::<CpuShare>().unwrap().to_string(), "0.25");
        for bad in ["0", "-1", "0.0001", "x"] {
            assert!(bad.parse::<CpuShare>().is_err(), "{bad}");
        }
    }
}
