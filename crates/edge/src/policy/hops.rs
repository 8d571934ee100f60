//! How often a request may still be passed on (RFC 9110, section 7.6.2).

/// What `Max-Forwards` leaves. Nothing where it is not said, is no number, or stands with another method than OPTIONS: TRACE,
/// which it is for as well, is refused.
pub fn left(method: &str, field: Option<&str>) -> Option<u32> {
    let digits = field.filter(|value| method == "OPTIONS" && value.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_with_options_counts() {
        for (method, field, expected) in [
            ("OPTIONS", Some("0"), Some(0)),
            ("OPTIONS", Some("17"), Some(17)),
            ("OPTIONS", Some("+1"), None),
            ("OPTIONS", Some(""), None),
            ("OPTIONS", Some("99999999999"), None),
            ("OPTIONS", None, None),
            ("GET", Some("0"), None),
        ] {
            assert_eq!(left(method, field), expected, "{method} {field:?}");
        }
    }
}
