//! Every case of the corpus: its verdict, however its bytes are split, and that what is passed on is plain.

use std::collections::BTreeSet;

use http1::Refusal;

use crate::case::{self, Case};
use crate::conversation::{Message, Outcome, Side, hold};
use crate::plain_reader::{self, Plain};

/// Cases that are refused, at least.
const HOSTILE_MIN: usize = 300;
/// Cases that are read to their end, at least.
const BENIGN_MIN: usize = 100;
/// Every split of a longer case would take minutes; of those the first and last parts are split everywhere, and the
/// middle here and there.
const SPLIT_EVERYWHERE_BYTES: usize = 600;
const STRIDE: usize = 997;

#[expect(clippy::disallowed_methods, reason = "UPDATE=1 is how every test here is asked to rewrite what it expects")]
fn updating() -> bool {
    std::env::var("UPDATE").is_ok()
}

fn whole(case: &Case) -> Outcome {
    hold(Side::of(&case.kind), [&case.bytes[..]])
}

#[test]
fn every_case_has_its_verdict() {
    let cases = case::all();
    let mut wrong = String::new();
    for case in &cases {
        let verdict = whole(case).verdict();
        if verdict != case.verdict {
            wrong += &format!("{}\nexpected\n{}but it is\n{verdict}\n", case.name(), case.verdict);
        }
    }
    if updating() {
        let verdicts = cases.into_iter().map(|case| {
            let verdict = whole(&case).verdict();
            (case, verdict)
        });
        case::rewrite(&verdicts.collect::<Vec<_>>());
    } else {
        assert!(wrong.is_empty(), "\n{wrong}");
    }
}

#[test]
fn the_corpus_is_large_and_no_case_is_there_twice() {
    let cases = case::all();
    let hostile = cases.iter().filter(|case| case.is_hostile()).count();
    assert!(hostile >= HOSTILE_MIN, "{hostile} hostile cases");
    assert!(cases.len() - hostile >= BENIGN_MIN, "{} benign cases", cases.len() - hostile);
    let mut seen = BTreeSet::new();
    for case in &cases {
        assert!(seen.insert((&case.kind, &case.bytes)), "again: {}", case.name());
        assert!(!case.why.is_empty(), "{} has no reason", case.name());
    }
}

#[test]
fn every_refusal_has_a_case() {
    let cases = case::all();
    let refused: BTreeSet<&str> = cases.iter().filter_map(Case::refusal).collect();
    let missing: Vec<&str> =
        Refusal::ALL.iter().map(|refusal| refusal.code()).filter(|code| !refused.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_verdict_does_not_depend_on_how_bytes_are_split() {
    for case in case::all() {
        let (side, bytes, expected) = (Side::of(&case.kind), &case.bytes[..], whole(&case));
        for split in splits(bytes.len()) {
            let outcome = hold(side, [&bytes[..split], &bytes[split..]]);
            assert_eq!(readings(&outcome), readings(&expected), "{}, split at {split}", case.name());
        }
        let outcome = hold(side, bytes.chunks(1));
        assert_eq!(readings(&outcome), readings(&expected), "{}, byte by byte", case.name());
    }
}

fn splits(len: usize) -> impl Iterator<Item = usize> {
    let everywhere = move |at: &usize| *at < SPLIT_EVERYWHERE_BYTES || *at + SPLIT_EVERYWHERE_BYTES > len;
    (0..=len).filter(move |at| everywhere(at) || at.is_multiple_of(STRIDE))
}

/// What was read, without what was passed on: chunks are passed on as they arrive.
pub(crate) fn readings(outcome: &Outcome) -> Outcome {
    let mut outcome = outcome.clone();
    outcome.messages.iter_mut().for_each(|message| message.forwarded.clear());
    outcome
}

#[test]
fn what_is_passed_on_is_read_alike_by_a_plain_reader() {
    for case in case::all() {
        for pieces in [1, 7, usize::MAX] {
            let outcome = hold(Side::of(&case.kind), case.bytes.chunks(pieces));
            assert_eq!(misread(Side::of(&case.kind), &outcome), None, "{}", case.name());
        }
    }
}

#[test]
fn what_is_passed_on_is_passed_on_unchanged_the_second_time() {
    for case in case::all().iter().filter(|case| case.is_request()) {
        for message in whole(case).messages {
            let again = hold(Side::Client, [&message.forwarded[..]]);
            let second: Vec<&Vec<u8>> = again.messages.iter().map(|message| &message.forwarded).collect();
            assert_eq!(second, [&message.forwarded], "{}", case.name());
        }
    }
}

/// What a plain reader understands otherwise than this crate, of what it passes on.
pub(crate) fn misread(side: Side, outcome: &Outcome) -> Option<String> {
    outcome.messages.iter().find_map(|message| match read_plainly(side, message) {
        Ok(None) => None,
        Ok(Some((plain, rest))) => difference(side, message, &plain, rest),
        Err(complaint) => Some(complaint),
    })
}

/// `None` for an interim response that HTTP/1.0 does not get.
fn read_plainly(side: Side, message: &Message) -> Result<Option<(Plain, &[u8])>, String> {
    match side {
        Side::Client => plain_reader::request(&message.forwarded).map(Some),
        Side::Upstream(_) if message.forwarded.is_empty() && message.start.0.starts_with('1') => Ok(None),
        Side::Upstream(asked) => plain_reader::response(&message.forwarded, asked.head).map(Some),
    }
}

fn difference(side: Side, message: &Message, plain: &Plain, rest: &[u8]) -> Option<String> {
    let start = match side {
        Side::Client => plain.start[0] == message.start.0 && plain.start[1] == message.start.1,
        Side::Upstream(_) => plain.start[1] == message.start.0,
    };
    let until_close = plain.values("transfer-encoding").is_empty() && plain.values("content-length").is_empty();
    let lost_trailers = matches!(side, Side::Upstream(_)) && until_close;
    let named = named_by_connection(message);
    let differences = [
        (!start, "the first line"),
        (plain.fields.iter().any(|(name, _)| OF_ONE_HOP.contains(&&*name.to_lowercase())), "a field of one hop"),
        (passed_on(&plain.fields, &[]) != passed_on(&message.fields, &named), "the fields"),
        (plain.body != message.body, "the body"),
        (plain.trailers != passed_on(&message.trailers, &named) && !lost_trailers, "the trailers"),
        (!rest.is_empty(), "the end"),
    ];
    let different = differences.iter().find(|(differs, _)| *differs)?;
    Some(format!("{} of {message:?} against {plain:?}", different.1))
}

/// Fields that never reach the other side.
const OF_ONE_HOP: &[&str] =
    &["http2-settings", "keep-alive", "proxy", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te"];

/// Fields that the codec writes itself or never passes on.
const NOT_PASSED_ON: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

fn named_by_connection(message: &Message) -> Vec<String> {
    let connection = message.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
    connection
        .flat_map(|(_, value)| {
            String::from_utf8_lossy(value).split(',').map(|option| variable(option.trim())).collect::<Vec<_>>()
        })
        .collect()
}

/// What CGI makes of a name: those that become one are dropped together.
fn variable(name: &str) -> String {
    name.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

fn passed_on(fields: &[(String, Vec<u8>)], named: &[String]) -> Vec<(String, Vec<u8>)> {
    let passed = |name: &str| !NOT_PASSED_ON.contains(&&*name.to_lowercase()) && !named.contains(&variable(name));
    fields.iter().filter(|(name, _)| passed(name)).cloned().collect()
}
