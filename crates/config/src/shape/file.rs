//! The top of the file, and what an environment may say.

use crate::defaults;
use crate::form::{Form, NameKind, Word};
use crate::shape::edge::EDGE;
use crate::shape::resource::RESOURCE;
use crate::shape::service::SERVICE;
use crate::shape::upkeep::{ALERT, BACKUPS, TELEMETRY};
use crate::shape::{Key, OneOf, Presence, Record, Shape};

/// The whole file.
pub(crate) static FILE: Record = Record { what: "the stack", keys: &TOP, one_of: None };

/// The file as one environment sees it: its own overlay merged in.
pub(crate) static MERGED: Record = Record { what: "the stack", keys: &MERGED_KEYS, one_of: None };

static TOP: [Key; 12] = [
    STACK,
    TIMEZONE,
    OBJECTIVES_KEY,
    SERVICES,
    RESOURCES,
    SECRETS,
    EDGE_KEY,
    BACKUPS_KEY,
    TELEMETRY_KEY,
    ALERTS,
    ACCESS,
    Key {
        name: "environments",
        shape: Shape::Named { name: NameKind::Environment, value: &Shape::Record(&ENVIRONMENT) },
        presence: Presence::Absent("`development`, as the file stands"),
        doc: "The running instances of the stack. Each holds what differs from the rest of the file, in the same \
              shape: mappings merge, lists and single values replace, a mapping of another kind (`type`, \
              `strategy`, or another of `run`, `image`, `build`, `static`) replaces whole, and `null` deletes.",
    },
];

static MERGED_KEYS: [Key; 13] = [
    STACK,
    TIMEZONE,
    OBJECTIVES_KEY,
    SERVICES,
    RESOURCES,
    SECRETS,
    EDGE_KEY,
    BACKUPS_KEY,
    TELEMETRY_KEY,
    ALERTS,
    ACCESS,
    ADVISORY,
    SERVER,
];

/// What an environment may say.
pub(crate) static ENVIRONMENT: Record =
    Record { what: "what differs in one environment", keys: &OVERLAY_KEYS, one_of: None };

static OVERLAY_KEYS: [Key; 12] = [
    ADVISORY,
    SERVER,
    TIMEZONE,
    OBJECTIVES_KEY,
    SERVICES,
    RESOURCES,
    SECRETS,
    EDGE_KEY,
    BACKUPS_KEY,
    TELEMETRY_KEY,
    ALERTS,
    ACCESS,
];

const STACK: Key = Key {
    name: "stack",
    shape: Shape::One(Form::Name(NameKind::Stack)),
    presence: Presence::Needed,
    doc: "The stack's name: lower-case letters, digits and `-`, at most 40.",
};

const TIMEZONE: Key = Key {
    name: "timezone",
    shape: Shape::One(Form::Zone),
    presence: Presence::Default(|| defaults::TIMEZONE.to_owned()),
    doc: "The zone of the IANA database in which schedules are meant.",
};

const OBJECTIVES_KEY: Key = Key {
    name: "objectives",
    shape: Shape::Record(&OBJECTIVES),
    presence: Presence::Absent("nothing is promised"),
    doc: "What the stack promises. `mainstay plan` shows what follows from each promise; a file that cannot keep \
          one is refused.",
};

const SERVICES: Key = Key {
    name: "services",
    shape: Shape::Named { name: NameKind::Service, value: &Shape::Record(&SERVICE) },
    presence: Presence::Absent("none"),
    doc: "Your own code, by name.",
};

const RESOURCES: Key = Key {
    name: "resources",
    shape: Shape::Named { name: NameKind::Resource, value: &Shape::Tagged(&RESOURCE) },
    presence: Presence::Absent("none"),
    doc: "The data services that the platform operates, by name. A service that lists the name in `uses` receives \
          how to reach it: a resource `db` gives `DB_URL` and the rest.",
};

const SECRETS: Key = Key {
    name: "secrets",
    shape: Shape::Named {
        name: NameKind::Secret,
        value: &Shape::Either(&[Shape::One(Form::Word(&SECRET_WORDS)), Shape::Record(&GENERATED)]),
    },
    presence: Presence::Absent("none"),
    doc: "The secrets by name, each with where its value comes from; the value itself never stands in the file. \
          A service that lists the name in `secrets` receives it as an environment variable.",
};

const EDGE_KEY: Key = Key {
    name: "edge",
    shape: Shape::Record(&EDGE),
    presence: Presence::Absent("services are reached on their own ports, from this machine only"),
    doc: "The gateway between clients and services.",
};

const BACKUPS_KEY: Key = Key {
    name: "backups",
    shape: Shape::Record(&BACKUPS),
    presence: Presence::Absent("no copy leaves the machine"),
    doc: "Copies of the data, and where they go.",
};

const TELEMETRY_KEY: Key = Key {
    name: "telemetry",
    shape: Shape::Record(&TELEMETRY),
    presence: Presence::Absent("as the platform sees fit"),
    doc: "Metrics, logs and traces.",
};

const ALERTS: Key = Key {
    name: "alerts",
    shape: Shape::Named { name: NameKind::Alert, value: &Shape::Record(&ALERT) },
    presence: Presence::Absent("nobody is told"),
    doc: "Who is told when something is wrong, by a name of your choice.",
};

const ACCESS: Key = Key {
    name: "access",
    shape: Shape::Unsettled,
    presence: Presence::Absent("the owner of the node's process, and root, by the control socket"),
    doc: "Users and tokens, and what each may do.",
};

const ADVISORY: Key = Key {
    name: "advisory",
    shape: Shape::One(Form::Truth),
    presence: Presence::Default(|| "false".to_owned()),
    doc: "Whether objectives that cannot be kept, and limits that cannot be had on this machine, are warnings \
          instead of errors.",
};

const SERVER: Key = Key {
    name: "server",
    shape: Shape::Record(&CAPACITY),
    presence: Presence::Absent("the machine that the command runs on"),
    doc: "What the server of this environment has to give; what the file reserves is held against it.",
};

static CAPACITY: Record = Record {
    what: "what a server has",
    keys: &[
        Key { name: "cpu", shape: Shape::One(Form::Cores), presence: Presence::Needed, doc: "Processor cores." },
        Key {
            name: "memory",
            shape: Shape::One(Form::Size { min: defaults::POSTGRES_MEMORY_MIN }),
            presence: Presence::Needed,
            doc: "Memory.",
        },
    ],
    one_of: None,
};

static OBJECTIVES: Record = Record {
    what: "the promises",
    keys: &[
        Key {
            name: "availability",
            shape: Shape::One(Form::Share),
            presence: Presence::Absent("not promised"),
            doc: "The share of requests that are answered without an error of ours, over 30 days.",
        },
        Key {
            name: "latency",
            shape: Shape::Record(&LATENCY),
            presence: Presence::Absent("not promised"),
            doc: "How soon requests are answered: one share of them, and the time within which that share is.",
        },
        Key {
            name: "recovery",
            shape: Shape::Record(&RECOVERY),
            presence: Presence::Absent("not promised"),
            doc: "What a loss may cost.",
        },
    ],
    one_of: None,
};

const LATENCY_KEYS: &[&str] = &["p50", "p90", "p95", "p99", "p99.9"];

static LATENCY: Record = Record {
    what: "one share of requests and its time",
    keys: &[
        latency("p50", "Half of the requests are answered within this."),
        latency("p90", "90 % of the requests are answered within this."),
        latency("p95", "95 % of the requests are answered within this."),
        latency("p99", "99 % of the requests are answered within this."),
        latency("p99.9", "99.9 % of the requests are answered within this."),
    ],
    one_of: Some(OneOf { keys: LATENCY_KEYS, needed: true }),
};

const fn latency(name: &'static str, doc: &'static str) -> Key {
    Key {
        name,
        shape: Shape::One(Form::Span { min: model::Span::millis(1) }),
        presence: Presence::Absent("not promised"),
        doc,
    }
}

static RECOVERY: Record = Record {
    what: "what a loss may cost",
    keys: &[
        Key {
            name: "rto",
            shape: Shape::One(Form::Span { min: model::Span::secs(1) }),
            presence: Presence::Absent("not promised"),
            doc: "How soon after a loss the stack serves again (recovery time objective).",
        },
        Key {
            name: "rpo",
            shape: Shape::One(Form::Span { min: model::Span::secs(1) }),
            presence: Presence::Absent("not promised"),
            doc: "How much acknowledged work a loss may cost, as time (recovery point objective).",
        },
    ],
    one_of: None,
};

static SECRET_WORDS: [Word; 1] =
    [Word { word: "set", doc: "A person sets it: `mainstay secret set NAME`, or `mainstay secret import FILE.env`." }];

static GENERATED: Record = Record {
    what: "how it is generated",
    keys: &[Key {
        name: "generate",
        shape: Shape::One(Form::Size { min: model::ByteSize::bytes(*defaults::SECRET_BYTES.start()) }),
        presence: Presence::Needed,
        doc: "So many random bytes, `16B` to `1024B`, made when first needed and given as base64url text.",
    }],
    one_of: None,
};
