//! Which content coding a client and we have in common (RFC 9110, section 12.5.3). Start reading at
//! [`Preference::of`].

/// A coding that we can produce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// Every coding, the one that costs us least for its result first: Brotli at its quick levels takes three times
    /// gzip's time for the same size.
    pub const BY_COST: [Self; 3] = [Self::Zstd, Self::Gzip, Self::Brotli];
    /// Every coding, the one first that makes least of a file when time does not matter.
    pub const BY_SIZE: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// Its name in fields.
    pub fn token(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The ending of a file that is coded so.
    pub fn file_ending(self) -> &'static str {
        match self {
            Self::Zstd => ".zst",
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
        }
    }
}

/// How much a client wants each coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Preference {
    /// In thousandths, in the order of [`Coding::BY_COST`]; 0 for a coding that it does not take.
    weights: [u16; Coding::BY_COST.len()],
}

impl Preference {
    /// What `Accept-Encoding` says. Anything that cannot be read in it is passed over.
    pub fn of(accept: Option<&str>) -> Self {
        let Some(accept) = accept else { return Self::default() };
        let identity = weight(accept, "identity").unwrap_or(0);
        let weights = Coding::BY_COST.map(|coding| {
            let weight = weight(accept, coding.token()).or_else(|| weight(accept, "*"));
            weight.filter(|weight| *weight >= identity).unwrap_or(0)
        });
        Self { weights }
    }

    /// The codings that it takes, the most wanted first; of those that it wants alike, in this order.
    pub fn ranked(self, mut order: [Coding; 3]) -> impl Iterator<Item = Coding> {
        order.sort_by_key(|coding| std::cmp::Reverse(self.weight(*coding)));
        order.into_iter().filter(move |coding| self.weight(*coding) > 0)
    }

    fn weight(self, coding: Coding) -> u16 {
        let weighed = Coding::BY_COST.into_iter().zip(self.weights);
        weighed.into_iter().find_map(|(it, weight)| (it == coding).then_some(weight)).unwrap_or(0)
    }
}

/// The weight of a coding in thousandths, where the field names it.
fn weight(accept: &str, token: &str) -> Option<u16> {
    accept.split(',').find_map(|item| {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        let same = name.trim().eq_ignore_ascii_case(token) || (token == "gzip" && name.trim() == "x-gzip");
        same.then(|| quality(parameters))
    })
}

/// `q=0.5` in thousandths; what cannot be read is 0, so that nothing is sent on a guess.
fn quality(parameters: &str) -> u16 {
    let Some((name, value)) = parameters.trim().split_once('=') else { return 1000 };
    if !name.trim().eq_ignore_ascii_case("q") {
        return 1000;
    }
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|it| it.is_ascii_digit());
    let thousandths = format!("{fraction:0<3}").parse::<u16>().unwrap_or(0);
    match (whole, digits) {
        ("0", true) => thousandths,
        ("1", true) if thousandths == 0 => 1000,
        _ => 0,
    }
}

/// Whether content of this type gets smaller: text and its kin, not what is packed already.
pub fn is_worthwhile(content_type: &str) -> bool {
    const TYPES: [&str; 12] = [
        "application/javascript",
        "application/json",
        "application/manifest+json",
        "application/rss+xml",
        "application/wasm",
        "application/x-javascript",
        "application/x-ndjson",
        "application/xhtml+xml",
        "application/xml",
        "font/otf",
        "font/ttf",
        "image/svg+xml",
    ];
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // An event stream must not wait in an encoder.
    (essence.starts_with("text/") && essence != "text/event-stream")
        || essence.ends_with("+json")
        || TYPES.contains(&essence.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_weighs_and_we_break_ties() {
        for (accept, expected) in [
            (None, None),
            (Some(""), None),
            (Some("gzip"), Some("gzip")),
            (Some("x-gzip"), Some("gzip")),
            (Some("gzip, deflate, br"), Some("gzip")),
            (Some("gzip;q=0.8, br"), Some("br")),
            (Some("gzip, deflate, br, zstd"), Some("zstd")),
            (Some("GZIP;Q=1.0, br;q=0.5"), Some("gzip")),
            (Some("br;q=0, gzip"), Some("gzip")),
            (Some("*"), Some("zstd")),
            (Some("*;q=0.1, zstd;q=0"), Some("gzip")),
            (Some("identity, gzip;q=0.5"), None),
            (Some("identity;q=0.5, gzip;q=0.5"), Some("gzip")),
            (Some("gzip;q=2"), None),
            (Some("gzip;q=abc"), None),
            (Some("gzip;q=0.0001"), None),
            (Some("gzip;q=-1"), None),
            (Some("deflate"), None),
        ] {
            assert_eq!(
                Preference::of(accept).ranked(Coding::BY_COST).next().map(Coding::token),
                expected,
                "{accept:?}"
            );
        }
    }

    #[test]
    fn of_what_is_wanted_alike_we_choose() {
        let ranked = |accept, order| Preference::of(Some(accept)).ranked(order).collect::<Vec<_>>();
        let all = "gzip, deflate, br, zstd";
        assert_eq!(ranked(all, Coding::BY_COST), Coding::BY_COST);
        assert_eq!(ranked(all, Coding::BY_SIZE), Coding::BY_SIZE);
        assert_eq!(ranked("gzip, br;q=0.9, zstd;q=0", Coding::BY_SIZE), [Coding::Gzip, Coding::Brotli]);
    }

    #[test]
    fn only_what_gets_smaller_and_does_not_stream() {
        for (content_type, expected) in [
            ("text/html; charset=utf-8", true),
            ("TEXT/CSS", true),
            ("application/problem+json", true),
            ("image/svg+xml", true),
            ("image/png", false),
            ("text/event-stream", false),
            ("application/octet-stream", false),
            ("", false),
        ] {
            assert_eq!(is_worthwhile(content_type), expected, "{content_type}");
        }
    }
}
