//! Answers that the edge makes itself, each with a reason code that the access log repeats. Start reading at
//! [`Reason`].

use std::fmt::Write;

use http1::Refusal;

/// Why the edge answers in the service's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The codec refuses the request.
    Refused(Refusal),
    /// A path that servers read differently.
    AmbiguousPath,
    /// TRACE shows a client what others have put into its request, and is not served.
    TraceMethod,
    /// No route for the host.
    UnknownHost,
    /// The connection's certificate is for another host.
    MisdirectedHost,
    /// No route for the path.
    NoRoute,
    /// No route for the method.
    MethodNotAllowed,
    /// The address asks too often.
    RateLimited,
    /// The head did not arrive in time.
    HeadTimeout,
    /// The body did not arrive in time, or too slowly.
    BodyTimeout,
    /// The client took its answer too slowly, or not at all.
    AnswerNotTaken,
    /// Too many connections or requests are under way.
    Overloaded,
    /// The client has too many connections.
    TooManyConnections,
    /// The client has too many requests under way.
    TooManyRequests,
    /// No replica takes requests.
    NoReplica,
    /// No replica could be connected to.
    Unreachable,
    /// The service ended the connection before its answer.
    UpstreamClosed,
    /// Too many requests to the service are under way.
    ServiceBusy,
    /// The system gives the edge no more connections.
    OutOfSockets,
    /// Nothing was said for long over a connection that speaks another protocol, or what was said was not taken.
    TunnelSilent,
    /// The service's answer cannot be read without doubt.
    UpstreamMalformed,
    /// The service did not answer in time.
    UpstreamTimeout,
    /// There is no such file.
    NoFile,
    /// A range of a file that it does not have.
    RangeNotSatisfiable,
    /// A file could not be read.
    FileUnreadable,
    /// A fault of the edge itself.
    Internal,
}

impl Reason {
    /// The status code (RFC 9110, section 15; 429 and 431: RFC 6585).
    pub fn status(self) -> u16 {
        match self {
            Self::Refused(refusal) => refusal.status(),
            Self::AmbiguousPath => 400,
            Self::NoRoute | Self::UnknownHost | Self::NoFile => 404,
            Self::MethodNotAllowed => 405,
            Self::HeadTimeout | Self::BodyTimeout | Self::AnswerNotTaken | Self::TunnelSilent => 408,
            Self::RangeNotSatisfiable => 416,
            Self::MisdirectedHost => 421,
            Self::RateLimited | Self::TooManyConnections | Self::TooManyRequests => 429,
            Self::FileUnreadable | Self::Internal => 500,
            Self::TraceMethod => 501,
            Self::Unreachable | Self::UpstreamClosed | Self::UpstreamMalformed => 502,
            Self::NoReplica | Self::Overloaded | Self::ServiceBusy | Self::OutOfSockets => 503,
            Self::UpstreamTimeout => 504,
        }
    }

    /// Whether the service failed to answer.
    pub fn is_of_service(self) -> bool {
        matches!(
            self,
            Self::NoReplica
                | Self::Unreachable
                | Self::UpstreamClosed
                | Self::UpstreamMalformed
                | Self::UpstreamTimeout
        )
    }

    /// Whether the edge failed, and neither its client nor the service.
    pub fn is_of_edge(self) -> bool {
        matches!(
            self,
            Self::Overloaded | Self::ServiceBusy | Self::OutOfSockets | Self::FileUnreadable | Self::Internal
        )
    }

    /// In how many seconds asking again may help, for the `Retry-After` field.
    pub fn retry_after(self) -> Option<u32> {
        /// Most requests are through by then.
        const SOON: u32 = 1;
        matches!(self, Self::Overloaded | Self::ServiceBusy | Self::OutOfSockets | Self::TooManyRequests)
            .then_some(SOON)
    }

    /// The code that logs, headers and JSON bodies carry.
    pub fn code(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::AmbiguousPath => "ambiguous_path",
            Self::TraceMethod => "trace_method",
            Self::UnknownHost => "unknown_host",
            Self::MisdirectedHost => "misdirected_host",
            Self::NoRoute => "no_route",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RateLimited => "rate_limited",
            Self::HeadTimeout => "head_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::AnswerNotTaken => "answer_not_taken",
            Self::Overloaded => "overloaded",
            Self::TooManyConnections => "too_many_connections",
            Self::TooManyRequests => "too_many_requests",
            Self::NoReplica => "no_replica",
            Self::Unreachable => "unreachable",
            Self::ServiceBusy => "service_busy",
            Self::OutOfSockets => "out_of_sockets",
            Self::TunnelSilent => "tunnel_silent",
            Self::UpstreamClosed => "upstream_closed",
            Self::UpstreamMalformed => "upstream_malformed",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::NoFile => "no_file",
            Self::RangeNotSatisfiable => "range_not_satisfiable",
            Self::FileUnreadable => "file_unreadable",
            Self::Internal => "internal",
        }
    }

    /// What happened, for whoever asked.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Refused(Refusal::BodyTooLarge) => "What was sent is larger than this address takes.",
            Self::Refused(_) => "The request could not be read without doubt.",
            Self::AmbiguousPath => "The address can be read in more than one way.",
            Self::TraceMethod => "No address here takes this method.",
            Self::UnknownHost => "There is nothing at this host name.",
            Self::MisdirectedHost => "This connection was made for another host name.",
            Self::NoRoute | Self::NoFile => "There is nothing at this address.",
            Self::MethodNotAllowed => "This address does not take this method.",
            Self::RateLimited => "Too many requests from this address. Please wait a moment.",
            Self::HeadTimeout | Self::BodyTimeout => "The request took too long to arrive.",
            Self::AnswerNotTaken => "The answer was not taken in time.",
            Self::TunnelSilent => "Nothing was said or taken on this connection for long.",
            Self::Overloaded | Self::ServiceBusy | Self::OutOfSockets => {
                "There is too much to do at the moment. Please try again shortly."
            }
            Self::TooManyConnections => "There are too many connections from this address.",
            Self::TooManyRequests => "Too many requests from this address are under way.",
            Self::NoReplica => "The service is not running at the moment. Please try again shortly.",
            Self::Unreachable => "The service cannot be reached at the moment. Please try again shortly.",
            Self::UpstreamClosed => "The service broke off before it answered.",
            Self::UpstreamMalformed => "The service gave an answer that could not be read.",
            Self::UpstreamTimeout => "The service did not answer in time.",
            Self::RangeNotSatisfiable => "The file does not have the part that was asked for.",
            Self::FileUnreadable | Self::Internal => "Something went wrong here.",
        }
    }
}

/// The name of a status (RFC 9110, section 15).
pub fn status_name(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        304 => "Not Modified",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

/// The body of such an answer, and its type.
pub fn body(reason: Reason, request_id: &str, accept: Option<&str>) -> (&'static str, String) {
    if prefers_json(accept) { ("application/problem+json", json(reason, request_id)) } else { html(reason, request_id) }
}

/// Whether JSON is named and HTML is not: programs name what they read, browsers name HTML.
fn prefers_json(accept: Option<&str>) -> bool {
    let named = |wanted: &[&str]| {
        accept.unwrap_or_default().split(',').any(|item| {
            let essence = item.split(';').next().unwrap_or_default().trim();
            wanted.iter().any(|it| essence.eq_ignore_ascii_case(it))
        })
    };
    named(&["application/json", "application/problem+json"]) && !named(&["text/html"])
}

/// Problem details (RFC 9457). Codes and ids are plain tokens, so nothing in here needs escaping.
fn json(reason: Reason, request_id: &str) -> String {
    format!(
        "{{\"status\":{},\"title\":\"{}\",\"detail\":\"{}\",\"code\":\"{}\",\"request_id\":\"{request_id}\"}}\n",
        reason.status(),
        status_name(reason.status()),
        reason.sentence(),
        reason.code(),
    )
}

fn html(reason: Reason, request_id: &str) -> (&'static str, String) {
    let (status, name) = (reason.status(), status_name(reason.status()));
    let mut page = String::with_capacity(1024);
    // Writing to a text cannot fail.
    let _written = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{status} {name}</title>\n\
         <h1>{name}</h1>\n<p>{}</p>\n<p><small>{status} &middot; {} &middot; {request_id}</small></p>\n</html>\n",
        reason.sentence(),
        reason.code(),
    );
    ("text/html; charset=utf-8", page)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Reason; 26] = [
        Reason::Refused(Refusal::BareLf),
        Reason::AmbiguousPath,
        Reason::TraceMethod,
        Reason::UnknownHost,
        Reason::MisdirectedHost,
        Reason::NoRoute,
        Reason::MethodNotAllowed,
        Reason::RateLimited,
        Reason::HeadTimeout,
        Reason::BodyTimeout,
        Reason::AnswerNotTaken,
        Reason::Overloaded,
        Reason::ServiceBusy,
        Reason::OutOfSockets,
        Reason::TunnelSilent,
        Reason::TooManyConnections,
        Reason::TooManyRequests,
        Reason::NoReplica,
        Reason::Unreachable,
        Reason::UpstreamClosed,
        Reason::UpstreamMalformed,
        Reason::UpstreamTimeout,
        Reason::NoFile,
        Reason::RangeNotSatisfiable,
        Reason::FileUnreadable,
        Reason::Internal,
    ];

    #[test]
    fn every_reason_has_a_code_of_its_own_and_a_named_status() {
        let codes: std::collections::BTreeSet<_> = ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), ALL.len());
        assert!(ALL.iter().all(|reason| !status_name(reason.status()).is_empty()));
    }

    #[test]
    fn programs_get_json_and_people_a_page() {
        for (accept, expected) in [
            (None, "text/html; charset=utf-8"),
            (Some("*/*"), "text/html; charset=utf-8"),
            (Some("application/json"), "application/problem+json"),
            (Some("application/json; q=0.9, text/plain"), "application/problem+json"),
            (Some("text/html,application/json"), "text/html; charset=utf-8"),
        ] {
            assert_eq!(body(Reason::NoReplica, "id", accept).0, expected, "{accept:?}");
        }
        assert_eq!(
            body(Reason::RateLimited, "r-1", Some("application/json")).1,
            "{\"status\":429,\"title\":\"Too Many Requests\",\"detail\":\"Too many requests from this address. Please wait a \
             moment.\",\"code\":\"rate_limited\",\"request_id\":\"r-1\"}\n"
        );
    }
}
