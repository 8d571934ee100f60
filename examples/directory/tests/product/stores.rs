//! PostgreSQL and Redis for all tests of this process, set up as the platform sets them up; start reading at [`Ground`].
//!
//! A small shell outlives this process by a moment: it waits for the end of a pipe, ends both servers and removes
//! their folder, also when a test was killed.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use tokio_postgres::{Client, NoTls};

use crate::program;

/// `nobody`: PostgreSQL does not run as root.
const NOBODY: u32 = 65_534;
/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// Parts of Redis, one for each test.
const CACHE_PARTS: usize = 256;
/// From one look at a condition to the next.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// What a service may do in Redis under the platform (`crates/resources`, `redis/users.rs`).
const CACHE_RULES: &str = "~* &* +@all -@admin -@dangerous +info";
/// The owner and a service's role as the platform makes them (`crates/resources`, `postgres/roles.rs`).
const ROLES: &str = "
    CREATE ROLE db_users NOLOGIN;
    CREATE ROLE db_owner LOGIN NOSUPERUSER NOBYPASSRLS;
    CREATE ROLE api_service LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS IN ROLE db_users;
    CREATE DATABASE seeded TEMPLATE template0";
const SCHEMA: &str = "
    ALTER SCHEMA public OWNER TO db_owner;
    REVOKE ALL ON SCHEMA public FROM PUBLIC;
    GRANT USAGE ON SCHEMA public TO db_users;
    ALTER DEFAULT PRIVILEGES FOR ROLE db_owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO db_users;
    ALTER DEFAULT PRIVILEGES FOR ROLE db_owner GRANT USAGE, SELECT ON SEQUENCES TO db_users";
/// Ends what it is told to once its input ends: PostgreSQL at once, by QUIT; Redis by TERM, because tests that a shell
/// runs in its background ignore QUIT, and so does what they start.
const JANITOR: &str = r#"cat >/dev/null
kill -QUIT "$2" 2>/dev/null
kill -TERM "$3" 2>/dev/null
for pid in "$2" "$3"; do while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done; done
rm -rf "$1""#;

/// Both servers, and the database that every [`Ground`] gets a copy of.
struct Stores {
    folder: PathBuf,
    db_port: u16,
    cache_port: u16,
    _janitor: Child,
}

/// What a test stands on: a seeded database, a part of Redis and a folder for photos, all its own.
pub(crate) struct Ground {
    number: usize,
}

impl Ground {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let ground = Self { number: NEXT.fetch_add(1, Ordering::Relaxed) };
        assert!(ground.number < CACHE_PARTS, "Redis has no part left: raise CACHE_PARTS");
        let create = format!("CREATE DATABASE ground_{} TEMPLATE seeded", ground.number);
        elsewhere(async move { connect(&address("operator", "postgres")).await.batch_execute(&create).await.unwrap() });
        ground
    }

    /// Where PostgreSQL is, for one of its roles.
    pub(crate) fn db_url(&self, role: &str) -> String {
        address(role, &format!("ground_{}", self.number))
    }

    /// Where Redis is, as a service has it.
    pub(crate) fn cache_url(&self) -> String {
        format!("redis://api_service:cache-password@127.0.0.1:{}/{}", stores().cache_port, self.number)
    }

    /// Where photos are kept.
    pub(crate) fn photos(&self) -> PathBuf {
        stores().folder.join(format!("photos-{}", self.number))
    }

    /// PostgreSQL as a role sees it.
    pub(crate) async fn database(&self, role: &str) -> Client {
        connect(&self.db_url(role)).await
    }

    /// Redis as a service sees it.
    pub(crate) async fn cache(&self) -> MultiplexedConnection {
        redis::Client::open(self.cache_url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }
}

fn address(role: &str, database: &str) -> String {
    format!("postgres://{role}@127.0.0.1:{}/{database}", stores().db_port)
}

/// The servers, started when first asked for.
fn stores() -> &'static Stores {
    static STORES: OnceLock<Stores> = OnceLock::new();
    STORES.get_or_init(start)
}

/// Waits for work that cannot be waited for on a test's own runtime.
fn elsewhere(work: impl Future<Output = ()> + Send + 'static) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || runtime().block_on(work)).join().unwrap();
}

fn start() -> Stores {
    let folder = std::env::temp_dir().join(format!("directory-{}", std::process::id()));
    for part in ["", "db", "cache"] {
        let part = folder.join(part);
        fs::create_dir(&part).unwrap();
        fs::set_permissions(&part, fs::Permissions::from_mode(0o700)).unwrap();
        if is_root() {
            chown(&part, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let (db, db_port) = start_postgres(&folder);
    let (cache, cache_port) = start_redis(&folder);
    let _janitor = Command::new("sh")
        .args(["-c", JANITOR, "janitor", folder.to_str().unwrap(), &db.id().to_string(), &cache.id().to_string()])
        .stdin(Stdio::piped())
        // Ctrl-C in a terminal ends the tests, and not the one who tidies up after them.
        .process_group(0)
        .spawn()
        .unwrap();
    // The owner migrates and a service seeds what all tests get a copy of.
    let seeded = move |role: &str| format!("postgres://{role}@127.0.0.1:{db_port}/seeded");
    elsewhere(async move { prepare(&format!("postgres://operator@127.0.0.1:{db_port}")).await });
    program::finish("migrate", &[("DB_URL", &seeded("db_owner"))]);
    program::finish("seed", &[("DB_URL", &seeded("api_service")), ("MAINSTAY_ENVIRONMENT", "test")]);
    Stores { folder, db_port, cache_port, _janitor }
}

async fn prepare(server: &str) {
    let operator = connect(&format!("{server}/postgres")).await;
    for statement in ROLES.split(';') {
        operator.batch_execute(statement).await.unwrap();
    }
    connect(&format!("{server}/seeded")).await.batch_execute(SCHEMA).await.unwrap();
}

async fn connect(url: &str) -> Client {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match tokio_postgres::connect(url, NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                return client;
            }
            Err(error) => assert!(Instant::now() < deadline, "PostgreSQL is not there: {error}"),
        }
        tokio::time::sleep(POLL).await;
    }
}

fn start_postgres(folder: &Path) -> (Child, u16) {
    let (data, port) = (folder.join("db"), free_port());
    let log = fs::File::create(folder.join("postgres.log")).unwrap();
    let made = as_nobody("initdb")
        .args(["--auth=trust", "--username=operator", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "-D"])
        .arg(&data)
        .stdout(log.try_clone().unwrap())
        .status()
        .unwrap();
    assert!(made.success(), "initdb failed");
    let server = as_nobody("postgres")
        .args(["-F", "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=300", "-k", "", "-p"])
        .arg(port.to_string())
        .arg("-D")
        .arg(&data)
        .stderr(log)
        .spawn()
        .unwrap();
    (server, port)
}

fn start_redis(folder: &Path) -> (Child, u16) {
    let (data, port) = (folder.join("cache"), free_port());
    let users = data.join("users.acl");
    fs::write(
        &users,
        format!("user default on nopass -@all +ping\nuser api_service on >cache-password {CACHE_RULES}\n"),
    )
    .unwrap();
    fs::set_permissions(&users, fs::Permissions::from_mode(0o644)).unwrap();
    let server = as_nobody("redis-server")
        .args(["--bind", "127.0.0.1", "--save", "", "--maxmemory", "64mb", "--maxmemory-policy", "volatile-ttl"])
        .args(["--databases", &CACHE_PARTS.to_string()])
        .args(["--port", &port.to_string(), "--dir"])
        .arg(&data)
        .arg("--aclfile")
        .arg(&users)
        .stdout(fs::File::create(folder.join("redis.log")).unwrap())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(Instant::now() < deadline, "Redis is not there");
        std::thread::sleep(POLL);
    }
    (server, port)
}

/// A server's program, to be run as a plain user.
fn as_nobody(program: &str) -> Command {
    let mut command = Command::new(find(program));
    command.stdin(Stdio::null()).current_dir("/").process_group(0);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Debian keeps PostgreSQL's programs outside PATH, by version.
fn find(program: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let candidates = versions.map(|version| version.path().join("bin").join(program));
    candidates.filter(|path| path.exists()).max().unwrap_or_else(|| PathBuf::from(program))
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
