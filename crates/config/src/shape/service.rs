//! A service.

use crate::defaults;
use crate::form::{Form, NameKind, Word};
use crate::shape::{Key, OneOf, Presence, Record, Shape, Tagged, Variant};

/// Keys of which a service has exactly one: what carries it.
pub(crate) const SOURCES: &[&str] = &["run", "image", "build", "static"];

/// A service.
pub(crate) static SERVICE: Record =
    Record { what: "a service", keys: &KEYS, one_of: Some(OneOf { keys: SOURCES, needed: true }) };

static KEYS: [Key; 18] = [
    Key {
        name: "run",
        shape: Shape::One(Form::Command),
        presence: Presence::Absent("carried otherwise"),
        doc: "The command that is started as a process, from the file's folder. No shell reads it: for pipes and \
              variables write `sh -c '…'`.",
    },
    Key {
        name: "image",
        shape: Shape::One(Form::Text { what: "the name of a container image" }),
        presence: Presence::Absent("carried otherwise"),
        doc: "The container image that is started.",
    },
    Key {
        name: "build",
        shape: Shape::One(Form::Text { what: "a folder" }),
        presence: Presence::Absent("carried otherwise"),
        doc: "The folder, with a Dockerfile, from which the container image is built.",
    },
    Key {
        name: "static",
        shape: Shape::One(Form::Text { what: "a folder" }),
        presence: Presence::Absent("carried otherwise"),
        doc: "The folder of static files that the edge serves: one of its own, not the one in which this file lies.",
    },
    Key {
        name: "spa",
        shape: Shape::One(Form::Truth),
        presence: Presence::Default(|| defaults::SPA.to_string()),
        doc: "With `static`: whether unknown paths are answered with `index.html`.",
    },
    Key {
        name: "port",
        shape: Shape::Either(&[Shape::One(Form::Port), Shape::One(Form::Word(&PORT_WORDS))]),
        presence: Presence::Absent("`auto` if the service is routed or has an HTTP or TCP check, else it has no port"),
        doc: "The port each replica listens on, on 127.0.0.1; told to it in `PORT`. A fixed number serves a single \
              replica.",
    },
    Key {
        name: "uses",
        shape: Shape::List { item: &Shape::One(Form::Name(NameKind::Resource)), distinct: true },
        presence: Presence::Absent("none"),
        doc: "Resources it uses: it starts when they serve, and receives how to reach them. PostgreSQL `db` gives \
              `DB_URL`, `DB_HOST`, `DB_PORT`, `DB_NAME`, `DB_USER`, `DB_PASSWORD`; Redis `cache` gives `CACHE_URL`, \
              `CACHE_HOST`, `CACHE_PORT`, `CACHE_USER`, `CACHE_PASSWORD`.",
    },
    Key {
        name: "needs",
        shape: Shape::List { item: &Shape::One(Form::Name(NameKind::Service)), distinct: true },
        presence: Presence::Absent("none"),
        doc: "Services that are ready before it starts.",
    },
    Key {
        name: "secrets",
        shape: Shape::List { item: &Shape::One(Form::Name(NameKind::Secret)), distinct: true },
        presence: Presence::Absent("none"),
        doc: "Secrets it receives, each as the environment variable of that name.",
    },
    Key {
        name: "env",
        shape: Shape::Named { name: NameKind::Variable, value: &Shape::One(Form::Raw) },
        presence: Presence::Absent("none"),
        doc: "Plain environment variables. Values are passed as they are written: `no` stays `no`.",
    },
    Key {
        name: "user",
        shape: Shape::One(Form::Name(NameKind::User)),
        presence: Presence::Absent("a user of its own without privileges, when the node is root"),
        doc: "The user of the operating system it runs as. `root` only when written here.",
    },
    Key {
        name: "volumes",
        shape: Shape::Named { name: NameKind::Volume, value: &Shape::One(Form::Name(NameKind::Variable)) },
        presence: Presence::Absent("none"),
        doc: "Folders of its own that outlive its replicas and releases: a name, and the environment variable that \
              tells the service the folder's path.",
    },
    Key {
        name: "replicas",
        shape: Shape::Either(&[
            Shape::One(Form::Whole { min: 1, max: defaults::REPLICAS_MAX }),
            Shape::Record(&SCALED),
        ]),
        presence: Presence::Absent("what the availability objective asks for, at least 1"),
        doc: "How many copies run: a number, or bounds between which a measured quantity decides.",
    },
    Key {
        name: "health",
        shape: Shape::Record(&HEALTH),
        presence: Presence::Absent("an accepted connection on its port; that it runs, when it has none"),
        doc: "How its health is told.",
    },
    Key {
        name: "limits",
        shape: Shape::Record(&LIMITS),
        presence: Presence::Absent("none"),
        doc: "What each replica may take from the machine.",
    },
    Key {
        name: "release",
        shape: Shape::Record(&RELEASE),
        presence: Presence::Absent("nothing runs before a release"),
        doc: "What happens once for each release, before its replicas start.",
    },
    Key {
        name: "rollout",
        shape: Shape::Tagged(&ROLLOUT),
        presence: Presence::Default(|| "{ strategy: rolling }".to_owned()),
        doc: "How a new release takes over from the one before.",
    },
    Key {
        name: "schedule",
        shape: Shape::Either(&[Shape::One(Form::Cron), Shape::Record(&SCHEDULE)]),
        presence: Presence::Absent("it stays up"),
        doc: "Makes the service a job that runs at these times and ends: five fields, minute, hour, day of month, \
              month, weekday, in the stack's `timezone`.",
    },
];

static PORT_WORDS: [Word; 1] = [Word { word: "auto", doc: "The node chooses a free port for each replica." }];

static SCALED: Record = Record {
    what: "bounds for the number of replicas",
    keys: &[
        Key {
            name: "min",
            shape: Shape::One(Form::Whole { min: 1, max: defaults::REPLICAS_MAX }),
            presence: Presence::Needed,
            doc: "The fewest.",
        },
        Key {
            name: "max",
            shape: Shape::One(Form::Whole { min: 1, max: defaults::REPLICAS_MAX }),
            presence: Presence::Needed,
            doc: "The most.",
        },
        Key {
            name: "scale_on",
            shape: Shape::Record(&SCALE_ON),
            presence: Presence::Default(|| format!("{{ cpu: {} }}", defaults::SCALE_CPU)),
            doc: "What is measured, and the value that is aimed for.",
        },
    ],
    one_of: None,
};

static SCALE_ON: Record = Record {
    what: "what is measured",
    keys: &[
        Key {
            name: "cpu",
            shape: Shape::One(Form::Share),
            presence: Presence::Absent("not looked at"),
            doc: "Processor time, as a share of the replica's limit.",
        },
        Key {
            name: "memory",
            shape: Shape::One(Form::Share),
            presence: Presence::Absent("not looked at"),
            doc: "Memory, as a share of the replica's limit.",
        },
        Key {
            name: "requests",
            shape: Shape::One(Form::Rate),
            presence: Presence::Absent("not looked at"),
            doc: "Requests to each replica.",
        },
        Key {
            name: "latency",
            shape: Shape::One(Form::Span { min: model::Span::millis(1) }),
            presence: Presence::Absent("not looked at"),
            doc: "The time within which the objective's share of requests is answered.",
        },
    ],
    one_of: None,
};

static HEALTH: Record = Record {
    what: "how health is told",
    keys: &[
        Key {
            name: "ready",
            shape: CHECK,
            presence: Presence::Absent("an accepted connection on its port; that it runs, when it has none"),
            doc: "When a replica answers this, it may get work, and what needs it may start.",
        },
        Key {
            name: "live",
            shape: CHECK,
            presence: Presence::Absent("that it runs"),
            doc: "When a replica fails this for long enough, it is restarted.",
        },
        Key {
            name: "drain",
            shape: Shape::One(Form::Span { min: model::Span::millis(1) }),
            presence: Presence::Default(|| defaults::DRAIN.to_string()),
            doc: "How long a replica may take to finish after it is asked to stop; then it is killed.",
        },
    ],
    one_of: None,
};

const CHECK: Shape = Shape::Either(&[Shape::One(Form::Path), Shape::Record(&PROBE)]);

static PROBE: Record = Record {
    what: "a check that is not an HTTP path",
    keys: &[
        Key {
            name: "tcp",
            shape: Shape::One(Form::True),
            presence: Presence::Absent("another check"),
            doc: "`true`: a connection to its port is accepted.",
        },
        Key {
            name: "command",
            shape: Shape::One(Form::Command),
            presence: Presence::Absent("another check"),
            doc: "A command, run in the replica's environment, that exits with 0.",
        },
    ],
    one_of: Some(OneOf { keys: &["tcp", "command"], needed: true }),
};

static LIMITS: Record = Record {
    what: "what each replica may take",
    keys: &[
        Key {
            name: "cpu",
            shape: Shape::One(Form::Cores),
            presence: Presence::Absent("no limit"),
            doc: "Processor cores.",
        },
        Key {
            name: "memory",
            shape: Shape::One(Form::Size { min: defaults::LIMIT_MEMORY_MIN }),
            presence: Presence::Absent("no limit"),
            doc: "Memory. A replica that takes more is killed by the kernel, and restarted.",
        },
        Key {
            name: "tasks",
            shape: Shape::One(Form::Whole { min: 1, max: 1_000_000 }),
            presence: Presence::Absent("no limit"),
            doc: "Processes and threads.",
        },
    ],
    one_of: None,
};

static RELEASE: Record = Record {
    what: "what a release does first",
    keys: &[
        Key {
            name: "run",
            shape: Shape::One(Form::Command),
            presence: Presence::Absent("nothing"),
            doc: "A command that runs once before the replicas of a release start, such as a database migration. \
                  It receives the service's environment with the owner's role of each database; when it fails, \
                  the release does not start.",
        },
        Key {
            name: "schema",
            shape: Shape::One(Form::Word(&[
                Word { word: "expand", doc: "It only adds: the release before keeps working." },
                Word { word: "contract", doc: "It removes what the release before no longer uses." },
                Word { word: "breaking", doc: "The release before does not work after it." },
            ])),
            presence: Presence::Absent("not stated"),
            doc: "What the command does to the database, as far as the release before is concerned.",
        },
    ],
    one_of: None,
};

static ROLLOUT: Tagged = Tagged {
    what: "how a release takes over",
    key: "strategy",
    doc: "The strategy.",
    variants: &[
        Variant {
            word: "rolling",
            doc: "One replica after the other: a new one is ready before an old one stops.",
            record: Record { what: "a rolling release", keys: &[], one_of: None },
        },
        Variant {
            word: "recreate",
            doc: "All old replicas stop, then the new ones start: for code that cannot run twice.",
            record: Record { what: "a release that stops the one before first", keys: &[], one_of: None },
        },
        Variant {
            word: "blue-green",
            doc: "All new replicas start beside the old ones, then all requests move at once.",
            record: Record { what: "a blue-green release", keys: &[BAKE], one_of: None },
        },
        Variant {
            word: "canary",
            doc: "A growing share of requests goes to the new release while its errors and latency are compared.",
            record: Record {
                what: "a canary release",
                keys: &[
                    Key {
                        name: "steps",
                        shape: Shape::List { item: &Shape::One(Form::Share), distinct: true },
                        presence: Presence::Needed,
                        doc: "The shares of requests, one after the other.",
                    },
                    BAKE,
                    Key {
                        name: "approve",
                        shape: Shape::One(Form::Share),
                        presence: Presence::Absent("nobody is asked"),
                        doc: "A person approves before this step is entered.",
                    },
                ],
                one_of: None,
            },
        },
    ],
};

const BAKE: Key = Key {
    name: "bake",
    shape: Shape::One(Form::Span { min: model::Span::millis(0) }),
    presence: Presence::Absent("as long as the evidence takes"),
    doc: "How long each step lasts at least.",
};

static SCHEDULE: Record = Record {
    what: "when it runs",
    keys: &[
        Key {
            name: "cron",
            shape: Shape::One(Form::Cron),
            presence: Presence::Needed,
            doc: "Five fields: minute, hour, day of month, month, weekday.",
        },
        Key {
            name: "overlap",
            shape: Shape::One(Form::Truth),
            presence: Presence::Default(|| defaults::OVERLAP.to_string()),
            doc: "Whether a run may start while the one before still goes. Otherwise it is left out, and said so.",
        },
    ],
    one_of: None,
};
