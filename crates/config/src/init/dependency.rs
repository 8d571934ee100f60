//! Which data services a program's list of dependencies speaks of.

/// Libraries that speak to PostgreSQL.
const POSTGRES: &[&str] = &[
    "pg",
    "postgres",
    "@prisma/client",
    "prisma",
    "typeorm",
    "slonik",
    "drizzle-orm",
    "tokio-postgres",
    "sqlx",
    "diesel",
    "sea-orm",
    "psycopg",
    "psycopg2",
    "psycopg2-binary",
    "asyncpg",
    "github.com/lib/pq",
    "github.com/jackc/pgx",
    "gorm.io/driver/postgres",
];

/// Libraries that speak to Redis.
const REDIS: &[&str] = &[
    "redis",
    "ioredis",
    "bull",
    "bullmq",
    "connect-redis",
    "fred",
    "deadpool-redis",
    "celery",
    "rq",
    "django-redis",
    "sidekiq",
    "resque",
    "github.com/redis/go-redis",
    "github.com/go-redis/redis",
];

pub(super) fn database(manifest: &str) -> bool {
    mentions(manifest, POSTGRES)
}

pub(super) fn redis(manifest: &str) -> bool {
    mentions(manifest, REDIS)
}

/// Whether a manifest names a library: as a whole word of it, versions of Go modules aside.
pub(super) fn mentions(manifest: &str, libraries: &[&str]) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '@');
    manifest.lines().filter(|line| !line.trim_start().starts_with('#')).any(|line| {
        line.split(|c: char| !word(c)).any(|found| {
            let versioned = |library: &&&str| found.strip_prefix(**library).is_some_and(|rest| rest.starts_with("/v"));
            libraries.iter().any(|library| found == *library || versioned(&library))
        })
    })
}
