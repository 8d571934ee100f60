//! Any sound message: what is read is what was sent, and what is passed on is read as the same again.

use http1::{Field, Refusal};
use proptest::prelude::*;

use crate::conversation::{End, Side, hold};
use crate::corpus::misread;

/// A message as a test makes it up.
#[derive(Debug, Clone)]
struct Sound {
    method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: Option<SoundBody>,
}

#[derive(Debug, Clone)]
enum SoundBody {
    Sized(Vec<u8>),
    Chunked(Vec<Vec<u8>>),
}

impl SoundBody {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Sized(bytes) => bytes.clone(),
            Self::Chunked(chunks) => chunks.concat(),
        }
    }
}

impl Sound {
    fn write(&self, first_line: &str) -> Vec<u8> {
        let mut bytes = format!("{first_line}\r\nHost: a.example\r\n").into_bytes();
        for (name, value) in &self.fields {
            bytes.extend(format!("{name}:{value}\t\r\n").bytes());
        }
        match &self.body {
            None => bytes.extend(b"\r\n"),
            Some(SoundBody::Sized(body)) => {
                bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
                bytes.extend(body);
            }
            Some(SoundBody::Chunked(chunks)) => {
                bytes.extend(b"transfer-encoding: Chunked\r\n\r\n");
                for chunk in chunks {
                    bytes.extend(format!("{:04X};x=y\r\n", chunk.len()).bytes());
                    bytes.extend(chunk);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"000\r\n\r\n");
            }
        }
        bytes
    }

    fn body(&self) -> Vec<u8> {
        self.body.as_ref().map(SoundBody::bytes).unwrap_or_default()
    }
}

fn field() -> impl Strategy<Value = (String, String)> {
    let ordinary = "[A-Za-z][A-Za-z0-9!#$%&'*+.^`|~-]{0,30}"
        .prop_filter("an end-to-end field", |name| Field::new(name.as_bytes(), b"").is_ok());
    (ordinary, " {0,2}([!-~]([ -~]{0,40}[!-~])?)?")
}

fn body() -> impl Strategy<Value = Option<SoundBody>> {
    let bytes = || prop::collection::vec(any::<u8>(), 1..200);
    prop_oneof![
        Just(None),
        bytes().prop_map(|bytes| Some(SoundBody::Sized(bytes))),
        prop::collection::vec(bytes(), 0..5).prop_map(|chunks| Some(SoundBody::Chunked(chunks))),
    ]
}

fn sound() -> impl Strategy<Value = Sound> {
    let method = "[A-Z!-'*+.^_`|~-]{1,32}".prop_filter("a token other than CONNECT", |method| {
        method != "CONNECT" && !method.contains(['"', '#', '(', ')', ','])
    });
    let target = "/[!\"$-~]{0,60}";
    (method, target, prop::collection::vec(field(), 0..20), body()).prop_map(|(method, target, fields, body)| Sound {
        method,
        target,
        fields,
        body,
    })
}

proptest! {
    #[test]
    fn a_sound_request_arrives_as_it_was_sent(sound in sound(), piece in 1..100_usize) {
        let bytes = sound.write(&format!("{} {} HTTP/1.1", sound.method, sound.target));
        let outcome = hold(Side::Client, bytes.chunks(piece));
        prop_assert_eq!(outcome.end, End::Between);
        prop_assert_eq!(outcome.messages.len(), 1);
        let message = &outcome.messages[0];
        prop_assert_eq!(&message.start, &(sound.method.clone(), sound.target.clone()));
        prop_assert_eq!(&message.body, &sound.body());
        for (name, value) in &sound.fields {
            prop_assert!(message.fields.contains(&(name.clone(), value.trim().as_bytes().to_vec())), "{}", name);
        }
        prop_assert_eq!(misread(Side::Client, &outcome), None);
        let again = hold(Side::Client, [&message.forwarded[..]]);
        prop_assert_eq!(again.end, End::Between);
        prop_assert_eq!(&again.messages[0].body, &message.body);
        prop_assert_eq!(&again.messages[0].start, &message.start);
    }

    #[test]
    fn a_sound_response_arrives_as_it_was_sent(sound in sound(), status in 200..600_u16, piece in 1..100_usize) {
        prop_assume!(!matches!(status, 204 | 304));
        let side = Side::of("response");
        let bytes = sound.write(&format!("HTTP/1.1 {status} Reason given"));
        let outcome = hold(side, bytes.chunks(piece));
        prop_assert_eq!(outcome.end, End::Between);
        prop_assert_eq!(&outcome.messages[0].body, &sound.body());
        prop_assert_eq!(misread(side, &outcome), None);
        let again = hold(side, [&outcome.messages[0].forwarded[..]]);
        prop_assert_eq!(again.end, End::Between);
        prop_assert_eq!(&again.messages[0].body, &sound.body());
    }

    #[test]
    fn one_bare_line_feed_anywhere_in_a_head_is_refused(sound in sound(), which in any::<prop::sample::Index>()) {
        let mut bytes = sound.write(&format!("{} {} HTTP/1.1", sound.method, sound.target));
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let ends: Vec<usize> = (0..head).filter(|at| bytes[*at] == b'\r').collect();
        bytes.remove(ends[which.index(ends.len())]);
        prop_assert_eq!(hold(Side::Client, [&bytes[..]]).end, End::Refused(Refusal::BareLf));
    }
}
