//! However a path is spelt, a service finds what the edge has judged, whichever way the service reads paths.

use edge::path;
use edge::table::{Found, Table};
use testkit::fuzz::Fuzzer;
use testkit::random::Random;

use crate::bench::route;

const FUZZER: Fuzzer = Fuzzer { command: "test -p edge --test gateway fuzz::routes", cases: 50_000 };

/// The routes, the longest first.
const ROUTES: [&str; 5] = ["/api/photos/", "/api/", "/login", "/a", "/"];

/// What paths are made of.
const PIECES: [&str; 48] = [
    "/", "/", "/", "//", "login", "api", "photos", "a", "b", "Login", "%6cogin", "log%69n", "%61pi", "%61", "%41",
    "%2f", "%2F", "%252f", "%5c", "\\", "%255c", ".", "..", "/./", "/../", "%2e", "%2E%2e", "%252e", "..;", ";",
    ";a=b", ";a/b", "%3b", "%3B", "%3f", "%23", "%25", "%", "%4", "%zz", "%00", "%0a", "%7f", "%c3%a4", "%c0%af", "~",
    "%7e", "*",
];

/// How a service comes from the path that it is sent to what it looks up. Each undoes escapes once, takes several slashes for
/// one and resolves dots.
#[derive(Debug, Clone, Copy)]
struct Reader {
    passes_over_parameters: bool,
    takes_backslashes_for_slashes: bool,
}

impl Reader {
    const ALL: [Self; 4] = [
        Self { passes_over_parameters: false, takes_backslashes_for_slashes: false },
        Self { passes_over_parameters: true, takes_backslashes_for_slashes: false },
        Self { passes_over_parameters: false, takes_backslashes_for_slashes: true },
        Self { passes_over_parameters: true, takes_backslashes_for_slashes: true },
    ];

    fn read(self, path: &str) -> Vec<u8> {
        let name = |segment| if self.passes_over_parameters { before(b';', segment) } else { segment };
        let names: Vec<&[u8]> = path.as_bytes().split(|byte| *byte == b'/').map(name).collect();
        let mut unescaped = unescaped(&names.join(&b'/'));
        if self.takes_backslashes_for_slashes {
            unescaped.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
        }
        let mut segments: Vec<&[u8]> = Vec::new();
        for segment in unescaped.split(|byte| *byte == b'/') {
            match segment {
                b"" | b"." => {}
                b".." => drop(segments.pop()),
                segment => segments.push(segment),
            }
        }
        let end: &[u8] = if unescaped.ends_with(b"/") && !segments.is_empty() { b"/" } else { b"" };
        [b"/", segments.join(&b'/').as_slice(), end].concat()
    }
}

fn before(byte: u8, text: &[u8]) -> &[u8] {
    text.split(|it| *it == byte).next().unwrap()
}

/// Each escape undone once; what is none stays.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some((byte, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.filter(|_| *byte == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() { &behind[2..] } else { behind };
    }
    out
}

/// The route of what a service looks up.
fn route_of(read: &[u8]) -> usize {
    let is_below = |prefix: &str| {
        let rest = read.strip_prefix(prefix.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || prefix.ends_with('/'))
    };
    ROUTES.iter().position(|prefix| is_below(prefix)).unwrap()
}

fn made_up(seed: u64) -> String {
    let mut random = Random::new(seed);
    let pieces: Vec<&str> = (0..=random.below(7)).filter_map(|_| random.pick(&PIECES).copied()).collect();
    format!("/{}", pieces.concat())
}

#[test]
fn a_service_finds_what_was_judged() {
    let table = Table::new(&ROUTES.map(|path| route("a.test", path)));
    let try_one = |seed| {
        let asked = made_up(seed);
        let Ok(forwarded) = path::normal(&asked) else { return };
        assert_eq!(path::normal(&forwarded).as_deref(), Ok(&*forwarded), "it is in its own normal form");
        let Found::Route { route: found, .. } = table.find("a.test", &path::routed(&forwarded), "GET") else {
            panic!("{forwarded} has no route");
        };
        for reader in Reader::ALL {
            // Whoever takes parameters for a part of a name finds nothing there, or less than was judged.
            let read = reader.read(&forwarded);
            if reader.passes_over_parameters || !forwarded.contains(';') {
                let read_as = read.escape_ascii();
                assert_eq!(route_of(&read), found.0, "{forwarded} is read as {read_as} by {reader:?}");
            }
        }
    };
    let tried = FUZZER.run(try_one, made_up);
    println!("{tried}");
}
