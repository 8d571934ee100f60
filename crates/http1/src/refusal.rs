//! Why a message is refused: a stable code, the status to answer with, a sentence.

macro_rules! refusals {
    ($($variant:ident, $code:literal, $status:literal, $sentence:literal;)+) => {
        /// Why a message is refused. Each ends the connection it was read from.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
        #[non_exhaustive]
        pub enum Refusal {
            $(#[doc = $sentence] #[error($sentence)] $variant,)+
        }

        impl Refusal {
            /// Every refusal there is.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name in logs, metrics and documentation; never changes.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// What to answer a client that sent it, before closing. For an upstream that sent it, the client is
            /// answered with [`Self::BAD_GATEWAY`] instead.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }
        }
    };
}

impl Refusal {
    /// The answer to a client whose upstream sent something that is refused.
    pub const BAD_GATEWAY: u16 = 502;
}

refusals! {
    // Lines.
    BareLf, "bare_lf", 400, "a line ends in LF without CR";
    BareCr, "bare_cr", 400, "a CR is not followed by LF";
    Nul, "nul", 400, "a NUL byte stands in the head";
    TooManyEmptyLines, "too_many_empty_lines", 400, "more than one empty line stands before the request";
    HeadTooLarge, "head_too_large", 431, "the head is longer than allowed";

    // The first line of a request.
    BadRequestLine, "bad_request_line", 400, "the first line is not method, target and version with one space between";
    BadMethod, "bad_method", 400, "the method is not a token of at most 32 characters";
    LowerCaseMethod, "lower_case_method", 400, "the method has lower-case letters: servers differ on what it then means";
    ConnectMethod, "connect_method", 501, "CONNECT asks for a tunnel, and this is no forward proxy";
    WhitespaceInTarget, "whitespace_in_target", 400, "white space stands in the target";
    BadTarget, "bad_target", 400, "the target is not a path, an http URL or, for OPTIONS, an asterisk";
    FragmentInTarget, "fragment_in_target", 400, "the target has a fragment, which clients keep to themselves";
    TargetTooLong, "target_too_long", 414, "the target is longer than allowed";
    BadVersion, "bad_version", 400, "the version is not of the form HTTP/1.1";
    VersionNotSupported, "version_not_supported", 505, "the version is neither HTTP/1.0 nor HTTP/1.1";
    Http09, "http_0_9", 505, "the request has no version, as in HTTP/0.9";
    Http2Preface, "http2_preface", 505, "the connection begins as HTTP/2 where HTTP/1.1 is spoken";

    // The first line of a response.
    BadStatusLine, "bad_status_line", 502, "the first line is not version, a status from 100 to 599 and a reason";
    TooManyInterimResponses, "too_many_interim_responses", 502, "more than eight interim responses precede the final one";
    InterimWithBody, "interim_with_body", 502, "a response from 100 to 199 announces a body, which it cannot have";
    UnexpectedSwitch, "unexpected_switch", 502, "the upstream switches protocols, and nobody asked it to";

    // Fields.
    TooManyFields, "too_many_fields", 431, "the head has more fields than allowed";
    FieldNameTooLong, "field_name_too_long", 431, "a field's name is longer than allowed";
    FieldValueTooLong, "field_value_too_long", 431, "a field's value is longer than allowed";
    ObsoleteFolding, "obsolete_folding", 400, "a line begins with white space: folding is obsolete";
    FieldWithoutColon, "field_without_colon", 400, "a field has no colon";
    EmptyFieldName, "empty_field_name", 400, "a field has no name";
    SpaceBeforeColon, "space_before_colon", 400, "white space stands between a field's name and its colon";
    BadFieldName, "bad_field_name", 400, "a field's name is not a token";
    ControlInFieldValue, "control_in_field_value", 400, "a control byte stands in a field's value";
    DisguisedFramingField, "disguised_framing_field", 400, "a field is Content-Length or Transfer-Encoding spelt with an underscore or another sign, which some servers take for it";

    // Fields about the connection and the host.
    BadConnectionOption, "bad_connection_option", 400, "an option of Connection is not a token";
    TooManyConnectionOptions, "too_many_connection_options", 400, "Connection has more than 16 options";
    ConnectionNamesFraming, "connection_names_framing", 400, "Connection names a field that everybody on the way needs: Host, Content-Length or Transfer-Encoding";
    UnknownExpectation, "unknown_expectation", 417, "Expect asks for something other than 100-continue";
    MissingHost, "missing_host", 400, "a request of HTTP/1.1 has no Host";
    TwoHosts, "two_hosts", 400, "the request has more than one Host";
    BadHost, "bad_host", 400, "the host is not a name or an address with an optional port";
    HostMismatch, "host_mismatch", 400, "Host and the target name different hosts";

    // Framing.
    TwoContentLengths, "two_content_lengths", 400, "Content-Length is there more than once, or is a list";
    BadContentLength, "bad_content_length", 400, "Content-Length is not a number of 1 to 19 digits";
    LengthAndChunked, "length_and_chunked", 400, "both Content-Length and Transfer-Encoding are there";
    TransferEncodingIn10, "transfer_encoding_in_1_0", 400, "Transfer-Encoding is there, and HTTP/1.0 has none";
    TwoTransferEncodings, "two_transfer_encodings", 400, "Transfer-Encoding is there more than once, or names chunked twice";
    ChunkedNotLast, "chunked_not_last", 400, "chunked is not the last transfer coding";
    BadTransferEncoding, "bad_transfer_encoding", 400, "Transfer-Encoding is empty or has an empty element";
    UnknownTransferCoding, "unknown_transfer_coding", 501, "a transfer coding is asked for that is not chunked";

    // Bodies.
    BadChunkSize, "bad_chunk_size", 400, "a chunk's size is not hexadecimal digits alone";
    ChunkSizeTooLong, "chunk_size_too_long", 400, "a chunk's size has more than 15 digits";
    BadChunkExtension, "bad_chunk_extension", 400, "a control byte or one beyond ASCII stands in a chunk extension";
    ChunkExtensionTooLong, "chunk_extension_too_long", 400, "a chunk extension is longer than allowed, or all of them together are";
    BadChunkEnd, "bad_chunk_end", 400, "a chunk's data is not followed by CRLF";
    TrailersTooLarge, "trailers_too_large", 431, "the trailer section is longer than allowed";
    TooManyTrailers, "too_many_trailers", 431, "the trailer section has more fields than allowed";
    ForbiddenTrailer, "forbidden_trailer", 400, "a trailer carries what has to be known before the body";
    BodyTooLarge, "body_too_large", 413, "the body is longer than allowed";
    TruncatedBody, "truncated_body", 400, "the connection ended before the body did";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Refusal;

    #[test]
    fn codes_are_distinct() {
        let codes: BTreeSet<&str> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
        assert_eq!(codes.len(), Refusal::ALL.len());
    }

    #[test]
    fn every_status_is_an_error() {
        for refusal in Refusal::ALL {
            assert!((400..=599).contains(&refusal.status()), "{refusal}");
        }
    }
}
