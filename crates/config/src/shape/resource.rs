//! A resource.

use model::ByteSize;
use model::stack::Eviction;

use crate::defaults;
use crate::form::{Form, NameKind, Word};
use crate::shape::{Key, Presence, Record, Shape, Tagged, Variant};

/// A resource.
pub(crate) static RESOURCE: Tagged = Tagged {
    what: "a resource",
    key: "type",
    doc: "What it is.",
    variants: &[
        Variant {
            word: "postgres",
            doc: "PostgreSQL, from the machine's own packages.",
            record: Record { what: "a PostgreSQL database", keys: &POSTGRES, one_of: None },
        },
        Variant {
            word: "redis",
            doc: "Redis, from the machine's own packages.",
            record: Record { what: "a Redis store", keys: &REDIS, one_of: None },
        },
        Variant {
            word: "objects",
            doc: "An S3-compatible object store.",
            record: Record { what: "an object store", keys: &OBJECTS, one_of: None },
        },
        Variant {
            word: "rabbitmq",
            doc: "RabbitMQ, from the machine's own packages.",
            record: Record { what: "a RabbitMQ broker", keys: &RABBITMQ, one_of: None },
        },
    ],
};

static POSTGRES: [Key; 5] = [
    Key {
        name: "version",
        shape: Shape::One(Form::Whole { min: defaults::POSTGRES_VERSION_MIN, max: defaults::POSTGRES_VERSION_MAX }),
        presence: Presence::Absent("the newest that is installed"),
        doc: "The major version.",
    },
    memory(
        Form::Size { min: defaults::POSTGRES_MEMORY_MIN },
        || defaults::POSTGRES_MEMORY.to_string(),
        "The memory it is sized to: its buffers, its connections and what it expects the system to cache for it.",
    ),
    PORT,
    STANDBYS,
    Key {
        name: "pool",
        shape: Shape::One(Form::Whole { min: 1, max: 1000 }),
        presence: Presence::Absent("no pooler"),
        doc: "Connections to the server that a pooler shares among all clients.",
    },
];

static REDIS: [Key; 4] = [
    memory(
        Form::Size { min: defaults::REDIS_MEMORY_MIN },
        || defaults::REDIS_MEMORY.to_string(),
        "The most memory its data may take.",
    ),
    Key {
        name: "evict",
        shape: Shape::One(Form::Word(&EVICTIONS)),
        presence: Presence::Default(|| defaults::EVICT.as_str().to_owned()),
        doc: "What happens when the memory is full. A store that evicts is a cache: no recovery objective holds \
              for it.",
    },
    PORT,
    STANDBYS,
];

static EVICTIONS: [Word; 8] = [
    word(Eviction::Noeviction, "Writes fail; nothing is lost."),
    word(Eviction::AllkeysLru, "The least recently used key goes."),
    word(Eviction::AllkeysLfu, "The least frequently used key goes."),
    word(Eviction::AllkeysRandom, "A random key goes."),
    word(Eviction::VolatileLru, "The least recently used key that has an expiry goes."),
    word(Eviction::VolatileLfu, "The least frequently used key that has an expiry goes."),
    word(Eviction::VolatileRandom, "A random key that has an expiry goes."),
    word(Eviction::VolatileTtl, "The key that expires soonest goes."),
];

const fn word(policy: Eviction, doc: &'static str) -> Word {
    Word { word: policy.as_str(), doc }
}

static OBJECTS: [Key; 2] = [
    Key {
        name: "buckets",
        shape: Shape::List { item: &Shape::One(Form::Name(NameKind::Bucket)), distinct: true },
        presence: Presence::Needed,
        doc: "Its buckets.",
    },
    Key {
        name: "versions",
        shape: Shape::One(Form::Truth),
        presence: Presence::Default(|| defaults::VERSIONS.to_string()),
        doc: "Whether earlier versions of an object are kept.",
    },
];

static RABBITMQ: [Key; 2] = [
    memory(
        Form::Size { min: ByteSize::mebibytes(128) },
        || defaults::RABBITMQ_MEMORY.to_string(),
        "The memory it is sized to.",
    ),
    PORT,
];

const fn memory(form: Form, default: fn() -> String, doc: &'static str) -> Key {
    Key { name: "memory", shape: Shape::One(form), presence: Presence::Default(default), doc }
}

const PORT: Key = Key {
    name: "port",
    shape: Shape::One(Form::Port),
    presence: Presence::Absent("the node chooses one, and keeps it"),
    doc: "A fixed port on 127.0.0.1.",
};

const STANDBYS: Key = Key {
    name: "standbys",
    shape: Shape::One(Form::Whole { min: 0, max: 8 }),
    presence: Presence::Default(|| "0".to_owned()),
    doc: "Copies that follow the primary, the primary not counted.",
};
