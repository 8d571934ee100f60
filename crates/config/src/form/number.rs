//! Numbers and truth values, as the core schema of YAML 1.2 has them, with nothing left to guess.

use model::CpuShare;

use super::{Complaint, parsed};
use crate::tree::Scalar;

/// What a value without quotes is by the core schema of YAML 1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Core {
    Text,
    Truth,
    Whole,
    Fraction,
}

fn core(scalar: &Scalar) -> Core {
    if !scalar.plain {
        return Core::Text;
    }
    let text = scalar.text.as_str();
    if matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE") {
        return Core::Truth;
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let of_base = |prefix: &str, base: u32| {
        text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_digit(base)))
    };
    if digits(unsigned) || of_base("0o", 8) || of_base("0x", 16) {
        return Core::Whole;
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Core::Fraction;
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let numeric = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let some_digit = !whole.is_empty() || !fraction.is_empty();
    match some_digit && numeric(whole) && numeric(fraction) && exponent.is_none_or(digits) {
        true => Core::Fraction,
        false => Core::Text,
    }
}
/// Refuses what YAML reads as a number or a truth value where a text is wanted.
pub(super) fn is_text(scalar: &Scalar) -> Result<(), Complaint> {
    let kind = match core(scalar) {
        Core::Text => return Ok(()),
        Core::Truth => "true or false",
        Core::Whole | Core::Fraction => "a number",
    };
    let text = &scalar.text;
    Err(Complaint::kind(format!("`{text}` is {kind} here, not a text")).hint(format!("write \"{text}\"")))
}

pub(super) fn truth(scalar: &Scalar) -> Result<(), Complaint> {
    let text = scalar.text.as_str();
    if scalar.plain && matches!(text, "true" | "false") {
        return Ok(());
    }
    let complaint = Complaint::kind(format!("`{text}` is not `true` or `false`"));
    Err(match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" | "y" => complaint.hint("write `true`, without quotes"),
        "no" | "off" | "false" | "n" => complaint.hint("write `false`, without quotes"),
        _ => complaint,
    })
}

pub(super) fn only_true(scalar: &Scalar) -> Result<(), Complaint> {
    match scalar.text.as_str() {
        "true" => Ok(()),
        _ => Err(Complaint::invalid("only `true` can stand here").hint("leave the key out")),
    }
}

pub(super) fn whole(scalar: &Scalar, min: u32, max: u32) -> Result<(), Complaint> {
    let text = scalar.text.as_str();
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !scalar.plain {
        let complaint = Complaint::kind(format!("{text:?} is a text, not a number"));
        return Err(if digits { complaint.hint(format!("write {text} without quotes")) } else { complaint });
    }
    if !digits {
        return Err(not_whole(text));
    }
    if text.len() > 1 && text.starts_with('0') {
        let complaint = Complaint::invalid(format!("`{text}` starts with 0, which some programs read as base 8"));
        return Err(complaint.hint(format!("write {}", text.trim_start_matches('0'))));
    }
    match text.parse::<u32>() {
        Ok(number) if (min..=max).contains(&number) => Ok(()),
        _ if max == u32::MAX => Err(Complaint::invalid(format!("{text} is out of bounds: {min} or more"))),
        _ => Err(Complaint::invalid(format!("{text} is out of bounds: {min} to {max}"))),
    }
}

fn not_whole(text: &str) -> Complaint {
    let joined: String = text.chars().filter(|c| *c != '_').collect();
    if joined != text && !joined.is_empty() && joined.bytes().all(|b| b.is_ascii_digit()) {
        return Complaint::kind(format!("`{text}` is a text, not a number")).hint(format!("write {joined}"));
    }
    let numeric = matches!(core(&Scalar { text: text.to_owned(), plain: true }), Core::Whole | Core::Fraction);
    match numeric {
        true => Complaint::invalid(format!("`{text}` is not a plain whole number")).hint("write digits only"),
        false => Complaint::kind(format!("`{text}` is not a whole number")),
    }
}

pub(super) fn cores(scalar: &Scalar) -> Result<(), Complaint> {
    let text = scalar.text.as_str();
    if !scalar.plain {
        return Err(Complaint::kind(format!("{text:?} is a text, not a number of cores")));
    }
    if text.len() > 1 && text.starts_with('0') && !text.starts_with("0.") {
        return Err(Complaint::invalid(format!("`{text}` starts with 0, which some programs read as base 8")));
    }
    match text.strip_suffix('m').filter(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit())) {
        Some(milli) => {
            let complaint = Complaint::kind(format!("`{text}` is not a number of cores"));
            Err(match milli.parse::<u32>() {
                Ok(milli) => complaint.hint(format!("write {}", f64::from(milli) / 1000.0)),
                Err(_) => complaint,
            })
        }
        None => parsed::<CpuShare>(text).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::{Core, core};
    use crate::form::Form;
    use crate::tree::Scalar;

    #[test]
    fn plain_values_are_read_as_the_core_schema_says() {
        let check = |text: &str, expected: Core| {
            assert_eq!(core(&Scalar { text: text.to_owned(), plain: true }), expected, "{text}");
            assert_eq!(core(&Scalar { text: text.to_owned(), plain: false }), Core::Text, "{text} in quotes");
        };
        for text in ["true", "True", "FALSE"] {
            check(text, Core::Truth);
        }
        for text in ["0", "12", "-1", "+7", "010", "0o17", "0x1F"] {
            check(text, Core::Whole);
        }
        for text in ["1.5", "1.", ".5", "1e3", "-1.5E+2", ".inf", "-.INF", ".nan"] {
            check(text, Core::Fraction);
        }
        for text in ["yes", "no", "on", "1_000", "0b1", "0xZ", "1e", "e3", ".", "-", "1.2.3", "12:30", "15m"] {
            check(text, Core::Text);
        }
    }

    #[track_caller]
    fn check(form: Form, text: &str, expected: &str) {
        let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let scalar = Scalar { text: quoted.unwrap_or(text).to_owned(), plain: quoted.is_none() };
        let found = match form.check(&scalar) {
            Ok(()) => "fits".to_owned(),
            Err(complaint) => match complaint.hint {
                Some(hint) => format!("{}; {hint}", complaint.message),
                None => complaint.message,
            },
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn whole_numbers_leave_nothing_to_guess() {
        let form = Form::Whole { min: 1, max: 2000 };
        check(form, "1000", "fits");
        check(form, "0", "0 is out of bounds: 1 to 2000");
        check(form, "99999999999999999999", "99999999999999999999 is out of bounds: 1 to 2000");
        check(form, "\"10\"", "\"10\" is a text, not a number; write 10 without quotes");
        check(form, "1_000", "`1_000` is a text, not a number; write 1000");
        check(form, "1e3", "`1e3` is not a plain whole number; write digits only");
        check(form, "0x10", "`0x10` is not a plain whole number; write digits only");
        check(form, "+5", "`+5` is not a plain whole number; write digits only");
        check(form, "1.0", "`1.0` is not a plain whole number; write digits only");
        check(form, "010", "`010` starts with 0, which some programs read as base 8; write 10");
        check(form, "two", "`two` is not a whole number");
        check(Form::Port, "65536", "65536 is out of bounds: 1 to 65535");
    }

    #[test]
    fn truth_is_written_in_one_way() {
        check(Form::Truth, "true", "fits");
        check(Form::Truth, "True", "`True` is not `true` or `false`; write `true`, without quotes");
        check(Form::Truth, "off", "`off` is not `true` or `false`; write `false`, without quotes");
        check(Form::Truth, "\"true\"", "`true` is not `true` or `false`; write `true`, without quotes");
        check(Form::Truth, "1", "`1` is not `true` or `false`");
        check(Form::True, "false", "only `true` can stand here; leave the key out");
    }

    #[test]
    fn cores_are_numbers() {
        check(Form::Cores, "0.25", "fits");
        check(Form::Cores, "2", "fits");
        check(Form::Cores, "250m", "`250m` is not a number of cores; write 0.25");
        check(Form::Cores, "\"2\"", "\"2\" is a text, not a number of cores");
        check(Form::Cores, "02", "`02` starts with 0, which some programs read as base 8");
    }

    #[test]
    fn texts_are_not_numbers_by_accident() {
        let form = Form::Text { what: "a folder" };
        check(form, "web", "fits");
        check(form, "\"2024\"", "fits");
        check(form, "2024", "`2024` is a number here, not a text; write \"2024\"");
        check(form, "true", "`true` is true or false here, not a text; write \"true\"");
        check(form, "\" \"", "an empty text is not a folder");
    }

    #[test]
    fn a_missing_unit_is_suggested() {
        check(
            Form::Share,
            "99.9",
            "\"99.9\" is not a share from 0% to 100% such as 99.9%, with at most three decimals; write 99.9%",
        );
        let size = Form::Size { min: model::ByteSize::bytes(0) };
        check(size, "512m", "\"512m\" is not a size such as 512MiB, 10GiB or 64kB; write 512MiB or 512MB");
        check(size, "1gb", "\"1gb\" is not a size such as 512MiB, 10GiB or 64kB; write 1GiB or 1GB");
        let span = Form::Span { min: model::Span::millis(0) };
        check(span, "30", "\"30\" is not a span such as 200ms, 30s, 15m, 1h30m or 35d; write 30ms or 30s");
        check(
            Form::Path,
            "ready",
            "\"ready\" is not a URL path: it starts with '/' and holds visible ASCII without '#'; write /ready",
        );
    }
}
