//! The edge and its routes.

use crate::defaults;
use crate::form::{Form, NameKind, Word};
use crate::shape::{Key, OneOf, Presence, Record, Shape};

/// The gateway.
pub(crate) static EDGE: Record = Record {
    what: "the gateway",
    keys: &[
        Key {
            name: "listen",
            shape: Shape::Record(&LISTEN),
            presence: Presence::Needed,
            doc: "The ports that clients reach: one or both.",
        },
        Key {
            name: "trust",
            shape: Shape::List { item: &Shape::One(Form::Network), distinct: true },
            presence: Presence::Absent("none"),
            doc: "Networks whose forwarding headers are believed: those of proxies before this one.",
        },
        Key {
            name: "tls",
            shape: Shape::Either(&[Shape::One(Form::Word(&TLS_WORDS)), Shape::Record(&TLS)]),
            presence: Presence::Absent("`local`, where HTTPS is served"),
            doc: "Where certificates come from. Those of a local authority are for names that nobody can own.",
        },
        Key {
            name: "routes",
            shape: Shape::List { item: &Shape::Record(&ROUTE), distinct: false },
            presence: Presence::Absent("none"),
            doc: "Which requests go to which service. The longest path of the most exact host wins, whatever the order.",
        },
        Key {
            name: "protect",
            shape: Shape::Record(&PROTECT),
            presence: Presence::Absent("bounds on connections only"),
            doc: "What holds for all routes.",
        },
    ],
    one_of: None,
};

static LISTEN: Record = Record {
    what: "the ports",
    keys: &[
        Key {
            name: "https",
            shape: Shape::One(Form::Port),
            presence: Presence::Absent("not served"),
            doc: "The port for HTTPS.",
        },
        Key {
            name: "http",
            shape: Shape::One(Form::Port),
            presence: Presence::Absent("not served"),
            doc: "The port for HTTP; redirects to HTTPS where that is served.",
        },
    ],
    one_of: None,
};

static TLS_WORDS: [Word; 1] = [Word { word: "local", doc: "A local authority that this machine is told to trust." }];

static TLS: Record = Record {
    what: "where certificates come from",
    keys: &[
        Key {
            name: "acme",
            shape: Shape::One(Form::Mail),
            presence: Presence::Needed,
            doc: "The mail address given to the public authority.",
        },
        Key {
            name: "challenge",
            shape: Shape::One(Form::Word(&[
                Word { word: "http", doc: "Proven by a file served over HTTP." },
                Word { word: "tls-alpn", doc: "Proven inside the TLS handshake." },
                Word { word: "dns", doc: "Proven by a DNS record; allows wildcards." },
                Word { word: "on-demand", doc: "Ordered when a tenant's host is first asked for." },
            ])),
            presence: Presence::Absent("`tls-alpn`, else `http`"),
            doc: "How the authority is shown that the host is ours.",
        },
    ],
    one_of: None,
};

static ROUTE: Record = Record {
    what: "a route",
    keys: &[
        Key {
            name: "host",
            shape: Shape::One(Form::Host),
            presence: Presence::Needed,
            doc: "The host it answers for; `{tenant}` stands for one label.",
        },
        Key {
            name: "path",
            shape: Shape::One(Form::Path),
            presence: Presence::Default(|| defaults::ROUTE_PATH.to_owned()),
            doc: "The path it answers for, with everything below.",
        },
        Key {
            name: "methods",
            shape: Shape::List { item: &Shape::One(Form::Word(&METHODS)), distinct: true },
            presence: Presence::Absent("all"),
            doc: "The methods it answers for; what answers GET answers HEAD.",
        },
        Key {
            name: "to",
            shape: Shape::One(Form::Name(NameKind::Service)),
            presence: Presence::Needed,
            doc: "The service it leads to.",
        },
        Key {
            name: "limit",
            shape: Shape::Record(&LIMIT),
            presence: Presence::Absent("no limit"),
            doc: "How often one client may ask.",
        },
        Key {
            name: "timeout",
            shape: Shape::One(Form::Span { min: model::Span::millis(1) }),
            presence: Presence::Absent("derived from the latency objective, 30s without one"),
            doc: "How long the service may take until its answer begins.",
        },
        Key {
            name: "body",
            shape: Shape::One(Form::Size { min: model::ByteSize::bytes(0) }),
            presence: Presence::Absent("that of `edge.protect`"),
            doc: "The largest body of a request.",
        },
        Key {
            name: "cors",
            shape: Shape::Record(&CORS),
            presence: Presence::Absent("no other origin may"),
            doc: "Which other origins a browser may let read its answers (CORS).",
        },
    ],
    one_of: None,
};

static METHODS: [Word; 7] = [
    Word { word: "GET", doc: "Reads; HEAD with it." },
    Word { word: "HEAD", doc: "Reads the head alone." },
    Word { word: "POST", doc: "Sends something to be worked on." },
    Word { word: "PUT", doc: "Replaces." },
    Word { word: "PATCH", doc: "Changes a part." },
    Word { word: "DELETE", doc: "Removes." },
    Word { word: "OPTIONS", doc: "Asks what may be asked." },
];

static CORS: Record = Record {
    what: "who else may read answers",
    keys: &[
        Key {
            name: "origins",
            shape: Shape::List { item: &Shape::One(Form::Origin), distinct: true },
            presence: Presence::Needed,
            doc: "Origins as browsers send them; `\"*\"` alone for every origin.",
        },
        Key {
            name: "methods",
            shape: Shape::List { item: &Shape::One(Form::Word(&METHODS)), distinct: true },
            presence: Presence::Absent("none"),
            doc: "Methods besides GET, HEAD and POST.",
        },
        Key {
            name: "headers",
            shape: Shape::List { item: &Shape::One(Form::FieldName), distinct: true },
            presence: Presence::Absent("none"),
            doc: "Request headers besides those that need no permission.",
        },
        Key {
            name: "credentials",
            shape: Shape::One(Form::Truth),
            presence: Presence::Default(|| defaults::CORS_CREDENTIALS.to_string()),
            doc: "Whether cookies go with it; never together with `\"*\"`.",
        },
        Key {
            name: "keep",
            shape: Shape::One(Form::Span { min: model::Span::secs(1) }),
            presence: Presence::Default(|| defaults::CORS_KEEP.to_string()),
            doc: "How long a browser may keep the permission.",
        },
    ],
    one_of: None,
};

static LIMIT: Record = Record {
    what: "a rate limit",
    keys: &[
        Key {
            name: "rate",
            shape: Shape::One(Form::Rate),
            presence: Presence::Needed,
            doc: "So many requests in so much time.",
        },
        Key {
            name: "per",
            shape: Shape::One(Form::Word(&[
                Word { word: "ip", doc: "Each client address." },
                Word { word: "tenant", doc: "Each tenant." },
                Word { word: "token", doc: "Each token." },
                Word { word: "route", doc: "All together." },
            ])),
            presence: Presence::Absent("`ip`"),
            doc: "Who is counted together.",
        },
    ],
    one_of: None,
};

static PROTECT: Record = Record {
    what: "what holds for all routes",
    keys: &[
        Key {
            name: "headers",
            shape: Shape::One(Form::Word(&[
                Word { word: "strict", doc: "All the security headers a browser knows, at their strictest." },
                Word { word: "off", doc: "None." },
            ])),
            presence: Presence::Absent("none"),
            doc: "Security headers of answers.",
        },
        Key {
            name: "waf",
            shape: Shape::One(Form::Word(&[
                Word { word: "off", doc: "Requests are not looked into." },
                Word { word: "detect", doc: "What looks like an attack is counted and logged." },
                Word { word: "block", doc: "What looks like an attack is refused." },
            ])),
            presence: Presence::Absent("`off`"),
            doc: "The rules of a web application firewall.",
        },
        Key {
            name: "body",
            shape: Shape::One(Form::Size { min: model::ByteSize::bytes(0) }),
            presence: Presence::Absent("no limit"),
            doc: "The largest body of a request.",
        },
    ],
    one_of: None,
};

/// Keys of which a destination or receiver has exactly one.
pub(crate) const fn exactly_one(keys: &'static [&'static str]) -> Option<OneOf> {
    Some(OneOf { keys, needed: true })
}
