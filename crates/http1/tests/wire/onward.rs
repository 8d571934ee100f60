//! What is passed on, byte for byte: fields set and dropped, another host, another path, the client's framing.

use http1::request::Onward as RequestOnward;
use http1::response::Onward as ResponseOnward;
use http1::{
    Asked, Body, BodyDecoder, BodyEncoder, Edits, Field, Host, Limits, Piece, Refusal, RequestParser, ResponseParser,
    Target, Version,
};

/// What an HTTP/1.1 client asked that keeps its connection.
const ASKED: Asked = Asked { version: Version::Http11, head: false, upgrade: false, keep_alive: true };

fn request(sent: &str, host: Option<&str>, target: Option<&str>, edits: Edits<'_>) -> String {
    let mut parser = RequestParser::new(Limits::default());
    let head = parser.parse(sent.as_bytes()).unwrap().unwrap();
    let host = host.map_or(head.host().unwrap(), |host| Host::parse(host.as_bytes()).unwrap());
    let target = target.map_or(head.target(), |target| Target::parse(target.as_bytes()).unwrap());
    let mut out = Vec::new();
    head.forward(&RequestOnward { target, host, edits }, &mut out);
    String::from_utf8(out).unwrap()
}

/// The head, and whether the client's connection goes on.
fn response(sent: &str, onward: &ResponseOnward<'_>) -> (String, bool) {
    let mut parser = ResponseParser::new(Limits::default());
    let head = parser.parse(sent.as_bytes(), onward.asked).unwrap().unwrap();
    let mut out = Vec::new();
    let forwarded = head.forward(onward, &mut out);
    (String::from_utf8(out).unwrap(), forwarded.keep_alive)
}

fn field(name: &'static str, value: &'static str) -> Field<'static> {
    Field::new(name.as_bytes(), value.as_bytes()).unwrap()
}

#[test]
fn a_set_field_stands_in_place_of_the_clients() {
    let sent = "GET / HTTP/1.1\r\nX-Forwarded-For: 1\r\nHost: a\r\nA:b\r\nx-forwarded-for: 2\r\n\r\n";
    let set = [field("X-Forwarded-For", "192.0.2.1"), field("X-Request-Id", "7")];
    assert_eq!(
        request(sent, None, None, Edits { set: &set, ..Edits::default() }),
        "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nX-Forwarded-For: 192.0.2.1\r\nX-Request-Id: 7\r\n\r\n"
    );
}

#[test]
fn a_removed_field_is_gone_and_its_neighbours_stay() {
    let sent = "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\nAuthorization-Info: y\r\nAUTHORIZATION: z\r\n\r\n";
    assert_eq!(
        request(sent, None, None, Edits { remove: &[b"authorization"], ..Edits::default() }),
        "GET / HTTP/1.1\r\nHost: a\r\nAuthorization-Info: y\r\n\r\n"
    );
}

#[test]
fn without_claims_everything_else_stays() {
    let sent = "GET / HTTP/1.1\r\nHost: a\r\nX-Original-URL: /b\r\nX_Forwarded_Ssl: on\r\nX-Real: c\r\n\r\n";
    assert_eq!(
        request(sent, None, None, Edits { without_claims: true, ..Edits::default() }),
        "GET / HTTP/1.1\r\nHost: a\r\nX-Real: c\r\n\r\n"
    );
}

#[test]
fn what_a_server_could_take_for_a_set_or_removed_field_is_gone_too() {
    let sent =
        "GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 1\r\nX-Forwarded_For: 2\r\nx.tenant: b\r\nX_Tenants: c\r\n\r\n";
    let set = [field("X-Forwarded-For", "192.0.2.1")];
    assert_eq!(
        request(sent, None, None, Edits { set: &set, remove: &[b"x-tenant"], ..Edits::default() }),
        "GET / HTTP/1.1\r\nHost: a\r\nX_Tenants: c\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"
    );
}

#[test]
fn connection_names_no_set_field_away() {
    let sent = "GET / HTTP/1.1\r\nHost: a\r\nConnection: x-forwarded-for\r\nX-Forwarded-For: 1\r\n\r\n";
    let set = [field("X-Forwarded-For", "192.0.2.1")];
    assert_eq!(
        request(sent, None, None, Edits { set: &set, ..Edits::default() }),
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"
    );
}

/// What ends a body of chunks, given a trailer section.
fn end(encoder: BodyEncoder, section: &[u8]) -> String {
    let mut decoder = BodyDecoder::new(Body::Chunked, Limits::default(), 0).unwrap();
    let last = [b"0\r\n", section].concat();
    let Piece::Trailers(trailers) = decoder.decode(&last).unwrap().piece else { panic!("no trailers") };
    let mut out = Vec::new();
    encoder.end(Some(trailers), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn what_is_not_passed_on_in_a_head_is_not_passed_on_behind_its_body() {
    let set = [field("X-Set", "1")];
    let edits = Edits { set: &set, remove: &[b"x-removed"], ..Edits::default() };
    let section = b"X-Set: 2\r\nx_removed: 3\r\nX-Hop: 4\r\nX-Kept: 5\r\n\r\n";

    let sent = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: x-hop\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut requests = RequestParser::new(Limits::default());
    let head = requests.parse(sent).unwrap().unwrap();
    let onward = RequestOnward { target: head.target(), host: head.host().unwrap(), edits };
    assert_eq!(end(head.forward(&onward, &mut Vec::new()), section), "0\r\nX-Kept: 5\r\n\r\n");

    let sent = b"HTTP/1.1 200 OK\r\nConnection: x-hop\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut responses = ResponseParser::new(Limits::default());
    let head = responses.parse(sent, ASKED).unwrap().unwrap();
    let forwarded = head.forward(&ResponseOnward { asked: ASKED, close: false, edits }, &mut Vec::new());
    assert_eq!(end(forwarded.body, section), "0\r\nX-Kept: 5\r\n\r\n");
}

#[test]
fn host_and_target_can_be_others_than_the_clients() {
    let sent = "POST http://a/api/b?c HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(
        request(sent, Some("upstream:8080"), Some("/b?c"), Edits::default()),
        "POST /b?c HTTP/1.1\r\nHost: upstream:8080\r\nContent-Length: 3\r\n\r\n"
    );
}

#[test]
fn a_request_for_another_protocol_asks_on_this_connection_too() {
    let sent = "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n";
    assert_eq!(
        request(sent, None, None, Edits::default()),
        "GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Version: 13\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
}

#[test]
fn a_body_that_waits_is_announced_as_waiting() {
    let sent = "PUT / HTTP/1.1\r\nHost: a\r\nexpect: 100-Continue\r\nTransfer-Encoding: CHUNKED\r\n\r\n";
    assert_eq!(
        request(sent, None, None, Edits::default()),
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
}

#[test]
fn the_clients_connection_ends_when_it_has_to() {
    let sized = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";
    let keep = ResponseOnward { asked: ASKED, close: false, edits: Edits::default() };
    assert_eq!(response(sized, &keep), (sized.to_owned(), true));
    let closed = ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n".to_owned(), false);
    assert_eq!(response(sized, &ResponseOnward { close: true, ..keep }), closed);
    let asked = Asked { keep_alive: false, ..ASKED };
    assert_eq!(response(sized, &ResponseOnward { asked, ..keep }), closed);
}

#[test]
fn http_1_0_is_told_that_its_connection_goes_on() {
    let onward =
        ResponseOnward { asked: Asked { version: Version::Http10, ..ASKED }, close: false, edits: Edits::default() };
    let sized = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";
    let kept = "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n";
    assert_eq!(response(sized, &onward), (kept.to_owned(), true));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(response(chunked, &onward), ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned(), false));
}

#[test]
fn a_body_without_an_end_of_its_own_becomes_chunks() {
    let onward = ResponseOnward { asked: ASKED, close: false, edits: Edits::default() };
    let sent = "HTTP/1.0 200 OK\r\nServer: a\r\n\r\n";
    let passed_on = "HTTP/1.1 200 OK\r\nServer: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(response(sent, &onward), (passed_on.to_owned(), true));
}

#[test]
fn a_length_goes_with_what_has_no_body_only_where_it_means_something() {
    let to_head = ResponseOnward { asked: Asked { head: true, ..ASKED }, close: false, edits: Edits::default() };
    let sent = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
    assert_eq!(response(sent, &to_head).0, sent);
    let onward = ResponseOnward { asked: ASKED, ..to_head };
    let not_modified = "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n";
    assert_eq!(response(not_modified, &onward).0, not_modified);
    let empty = "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n";
    assert_eq!(response(empty, &onward).0, "HTTP/1.1 204 No Content\r\n\r\n");
}

#[test]
fn limits_are_those_that_were_given() {
    let limits = Limits {
        head_bytes: 60,
        target_bytes: 10,
        fields: 2,
        field_name_bytes: 5,
        field_value_bytes: 6,
        ..Limits::default()
    };
    let refused = |sent: &str| RequestParser::new(limits).parse(sent.as_bytes()).map(|head| head.is_some());
    assert_eq!(refused("GET /345678901 HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(true));
    assert_eq!(refused("GET /3456789012 HTTP/1.1\r\nHost: a\r\n\r\n"), Err(Refusal::TargetTooLong));
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nb:\r\nc:\r\n\r\n"), Err(Refusal::TooManyFields));
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nnamess:\r\n\r\n"), Err(Refusal::FieldNameTooLong));
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nname: 1234567\r\n\r\n"), Err(Refusal::FieldValueTooLong));
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nname: 123456\r\n\r\n"), Ok(true));
}

#[test]
fn limits_of_fields_are_those_of_trailers_too() {
    let limits = Limits { field_name_bytes: 5, field_value_bytes: 6, ..Limits::default() };
    let refused = |section: &[u8]| {
        BodyDecoder::new(Body::Chunked, limits, 0).unwrap().decode(section).map(|decoded| decoded.consumed)
    };
    assert_eq!(refused(b"0\r\nnames:  123456 \r\n\r\n"), Ok(22));
    assert_eq!(refused(b"0\r\nnamess:\r\n\r\n"), Err(Refusal::FieldNameTooLong));
    assert_eq!(refused(b"0\r\nname: 1234567\r\n\r\n"), Err(Refusal::FieldValueTooLong));
}

#[test]
fn extensions_of_chunks_may_be_as_long_as_their_data() {
    let chunk = |data: usize| format!("{data:x};{}\r\n{}\r\n", "e".repeat(100), "d".repeat(data)).into_bytes();
    let read = |chunk: Vec<u8>| {
        let mut body = BodyDecoder::new(Body::Chunked, Limits::default(), u64::MAX).unwrap();
        (0..1000).try_for_each(|_| {
            let mut rest = &chunk[..];
            while !rest.is_empty() {
                rest = &rest[body.decode(rest)?.consumed..];
            }
            Ok(())
        })
    };
    assert_eq!(read(chunk(101)), Ok(()));
    assert_eq!(read(chunk(50)), Err(Refusal::ChunkExtensionTooLong));
}

#[test]
fn a_body_is_refused_where_it_goes_beyond_what_is_allowed() {
    let announced = BodyDecoder::new(Body::Length(4), Limits::default(), 3);
    assert_eq!(announced.map(|_| ()), Err(Refusal::BodyTooLarge));
    let mut chunked = BodyDecoder::new(Body::Chunked, Limits::default(), 3).unwrap();
    let first = chunked.decode(b"2\r\nab\r\n").unwrap();
    assert_eq!((first.piece, first.consumed), (Piece::Data(b"ab"), 5));
    assert_eq!(chunked.decode(b"\r\n2\r\ncd\r\n"), Err(Refusal::BodyTooLarge));
    let mut until_close = BodyDecoder::new(Body::UntilClose, Limits::default(), 3).unwrap();
    assert_eq!(until_close.decode(b"abcd"), Err(Refusal::BodyTooLarge));
}

#[test]
fn values_of_one_name_are_found_in_their_order() {
    let mut parser = RequestParser::new(Limits::default());
    let head = parser.parse(b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\na: 3\r\n\r\n").unwrap().unwrap();
    assert_eq!(head.fields().values(b"A").collect::<Vec<_>>(), [b"1", b"3"]);
}

#[test]
fn an_added_field_stands_beside_those_of_its_name() {
    let sent = "GET / HTTP/1.1\r\nHost: a\r\nAccept: b\r\n\r\n";
    assert_eq!(
        request(sent, None, None, Edits { add: &[field("Accept", "c")], ..Edits::default() }),
        "GET / HTTP/1.1\r\nHost: a\r\nAccept: b\r\nAccept: c\r\n\r\n"
    );
}

#[test]
fn a_length_that_will_not_hold_is_not_said() {
    for (sent, head, expected) in [
        ("Content-Length: 7", false, "Transfer-Encoding: chunked\r\n"),
        ("Transfer-Encoding: chunked", false, "Transfer-Encoding: chunked\r\n"),
        ("Content-Length: 7", true, ""),
    ] {
        let sent = format!("HTTP/1.1 200 OK\r\n{sent}\r\n\r\n");
        let asked = Asked { head, ..ASKED };
        let mut parser = ResponseParser::new(Limits::default());
        let head = parser.parse(sent.as_bytes(), asked).unwrap().unwrap().of_unknown_length();
        let mut out = Vec::new();
        head.forward(&ResponseOnward { asked, close: false, edits: Edits::default() }, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("HTTP/1.1 200 OK\r\n{expected}\r\n"), "{sent}");
    }
}
