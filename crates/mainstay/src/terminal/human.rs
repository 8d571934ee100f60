//! Sizes and spans of time in words. Never used for what programs read.

use std::time::Duration;

use model::ByteSize;

/// A size in the unit that keeps it below four digits: `812 B`, `44.1 MiB`.
pub(crate) fn size(size: ByteSize) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let bytes = size.as_bytes();
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10 * 1024 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    match tenths < 1000 {
        true => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
        false => format!("{} {}", tenths / 10, UNITS[unit]),
    }
}

/// A span in its two largest units: `3 d 4 h`, `2 min`, `850 ms`.
pub(crate) fn span(span: Duration) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let seconds = span.as_secs();
    if seconds == 0 {
        return format!("{} ms", span.as_millis());
    }
    let first = UNITS.iter().position(|(_, unit)| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let (name, unit) = UNITS[first];
    let (whole, rest) = (seconds / unit, seconds % unit);
    // Beyond two digits of the larger unit, the smaller one tells nobody anything.
    match UNITS.get(first + 1) {
        Some((small, small_unit)) if rest >= *small_unit && whole < 10 => {
            format!("{whole} {name} {} {small}", rest / small_unit)
        }
        _ => format!("{whole} {name}"),
    }
}

/// A count with its noun: `1 replica`, `2 replicas`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// Names in a row: `a`, `a and b`, `a, b and c`.
pub(crate) fn list(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (46_242_201, "44.0 MiB"),
            (512 << 20, "512 MiB"),
            (1 << 30, "1.0 GiB"),
            (u64::MAX, "16777215 TiB"),
        ] {
            assert_eq!(size(ByteSize::bytes(bytes)), text, "{bytes}");
        }
    }

    #[test]
    fn spans_read_well() {
        for (millis, text) in [
            (0, "0 ms"),
            (850, "850 ms"),
            (2_000, "2 s"),
            (61_000, "1 min 1 s"),
            (601_000, "10 min"),
            (7_380_000, "2 h 3 min"),
            (273_600_000, "3 d 4 h"),
            (8_640_000_000, "100 d"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text, "{millis}");
        }
    }

    #[test]
    fn names_in_a_row() {
        let names: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(list(&names), "a, b and c");
        assert_eq!(list(&names[..2]), "a and b");
        assert_eq!(list(&[]), "nothing");
        assert_eq!(count(1, "step"), "1 step");
        assert_eq!(count(0, "step"), "0 steps");
    }
}
