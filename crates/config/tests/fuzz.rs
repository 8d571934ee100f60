//! Mutated files: whatever stands in a file, checking it ends, without a panic, and problems point into
//! the text. How to go on for longer, or to replay one: [`testkit::fuzz`].

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use config::{Listed, Listing, SourceFile};
use testkit::fuzz::Fuzzer;

const FUZZER: Fuzzer = Fuzzer { command: "test -p config --test fuzz", cases: 20_000 };

const SEEDS: [&str; 3] =
    [config::ANNOTATED_EXAMPLE, include_str!("samples/later.yaml"), "stack: a\nservices:\n  b: { run: c }\n"];

/// Pieces that mean something to YAML, to the forms or to the schema.
const PIECES: [&str; 60] = [
    "{",
    "}",
    "[",
    "]",
    ": ",
    "- ",
    "\n",
    "  ",
    "\t",
    "#",
    "'",
    "\"",
    "&a ",
    "*a",
    "!t ",
    "<<: ",
    "? ",
    "| ",
    ">-\n",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "null",
    "~",
    "true",
    "no",
    "010",
    "0x1F",
    "1e3",
    "1_000",
    "-1",
    "99999999999999999999",
    ".inf",
    "",
    "é",
    "\u{feff}",
    "\0",
    "\r",
    "\r\n",
    "\u{2028}",
    "𝄞",
    "\\",
    "$PORT",
    "&&",
    "run: ",
    "uses: [",
    "type: redis",
    "null, ",
    "environments:\n  development:\n    ",
    "services: ",
    "x-a: ",
    "p95: 1ms",
    "100%",
    "101%",
    "1h30m",
    "0 0 * * 0#5",
    "{tenant}",
    "standbys: 1",
    "replicas: { min: 3, max: 1 }",
    "needs: [api]",
];

/// A small generator (splitmix64): the same seed gives the same case everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    /// A place between two characters.
    fn boundary(&mut self, text: &str) -> usize {
        let mut at = self.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

fn mutated(seed: u64) -> String {
    let mut random = Random(seed);
    let mut text = SEEDS[random.below(SEEDS.len())].to_owned();
    for _ in 0..=random.below(8) {
        let (one, other) = (random.boundary(&text), random.boundary(&text));
        let (from, to) = (one.min(other), one.max(other));
        match random.below(6) {
            0 => text.insert_str(from, PIECES[random.below(PIECES.len())]),
            1 => text.replace_range(from..text.floor_char_boundary(to.min(from + 40)), ""),
            2 => text.truncate(to),
            3 => {
                let line = text.lines().nth(random.below(80)).unwrap_or("").to_owned();
                text.insert_str(from, &line);
            }
            4 => {
                let piece = PIECES[random.below(PIECES.len())].repeat(random.below(60));
                text.insert_str(from, &piece);
            }
            _ => {
                let lines: Vec<&str> = text.lines().collect();
                let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
                if !lines.is_empty() {
                    let (a, b) = (random.below(lines.len()), random.below(lines.len()));
                    lines.swap(a, b);
                }
                text = lines.join("\n");
            }
        }
    }
    text
}

fn try_one(seed: u64) {
    let text = mutated(seed);
    let source = SourceFile::new("fuzz.yaml", text);
    let environment = [None, Some("production"), Some("staging")][usize::try_from(seed % 3).unwrap()];
    let checked = config::check(&source, environment.map(|name| name.parse().unwrap()).as_ref());
    for problem in &checked.problems {
        let place = problem.place;
        assert!(source.text.get(place.from..place.to).is_some(), "{problem} points at {place:?}");
        assert!(place.start.line <= source.text.matches(['\n', '\r']).count() + 1, "{problem} points at {place:?}");
        assert!(!problem.message.is_empty());
    }
    let errors = checked.has(config::Severity::Error);
    assert_eq!(checked.stack.is_none(), errors, "a stack is there exactly when no error is");
    for path in checked.places.paths() {
        let place = checked.places.nearest(path);
        assert!(source.text.get(place.from..place.to).is_some(), "{path} is at {place:?}");
    }
    if seed.is_multiple_of(8) {
        first_file(&source.text);
    }
}

fn first_file(text: &str) {
    let entries =
        config::READ_FOR_INIT.iter().map(|name| ((*name).to_owned(), Listed::Text(text.to_owned()))).collect();
    let first = config::init(&Listing { folder: "fuzz".to_owned(), entries, ..Listing::default() });
    let checked = config::check(&SourceFile::new("mainstay.yaml", first.text.clone()), None);
    assert!(!checked.has(config::Severity::Error), "{:?}\n{}", checked.problems, first.text);
}

#[test]
fn mutated_files_never_panic() {
    println!("{}", FUZZER.run(try_one, mutated));
}
