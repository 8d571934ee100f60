//! Redis, operated; Valkey likewise.
//!
//! Start reading at [`Server`]. The files it writes are in [`settings`]; who may run which command is in
//! [`users`].

mod settings;
mod users;

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::stack::Redis;
use model::{Holder, Port, Timestamp};
use plan::supervision::{GentleSignal, StopPolicy};
use supervise::launch::{EnvironmentValue, LogPolicy, PORT_MARK};
use supervise::supervisor::Question;

use crate::connection::{Connection, Variables};
use crate::installation::{ChooseError, Installation, Installations, Program};
use crate::operated::{COMPLETE_TIMEOUT, Command, Operated, STOP_DEADLINE, operated};
use crate::place::{Access, PlaceError};
use crate::record::{self, Kind, RecordError};
use crate::{Passwords, Place};

/// The node's own user: it may run every command, over the private socket or loopback.
pub const OPERATOR: &str = "mainstay";

/// The server's private socket within [`Place::sockets`].
const SOCKET: &str = "redis.sock";

/// One Redis server of a stack.
#[derive(Debug, Clone)]
pub struct Server {
    place: Place,
    installation: Installation,
    spec: Redis,
}

/// What is asked for cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No installed version will do.
    #[error(transparent)]
    Installation(#[from] ChooseError),
    /// Something that is not carried out yet.
    #[error("`{0}` of a redis resource is not supported yet: remove it")]
    Unsupported(&'static str),
    /// Whose data is there cannot be told.
    #[error("cannot tell which server wrote the data in {}", folder.display())]
    Data {
        /// The data directory.
        folder: PathBuf,
        /// Why not.
        source: WriterError,
    },
}

/// A log is there, and whose server wrote it cannot be told. It may be under way to being replaced, so that the next
/// look can tell.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    /// A file could not be read.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The log's base is missing.
    #[error(
        "{}, with which the append-only log begins, is missing: if it stays so (a rewrite of the log replaces it), put it \
         back from a copy",
        path.display()
    )]
    NoBase {
        /// The base.
        path: PathBuf,
    },
    /// The log's base is no snapshot of a known server.
    #[error(
        "{}, with which the append-only log begins, is no snapshot of Redis or Valkey: have the server that wrote it \
         rewrite its log (BGREWRITEAOF, with `aof-use-rdb-preamble yes`), or put it back from a copy",
        path.display()
    )]
    Unknown {
        /// The base.
        path: PathBuf,
    },
    /// The log's base is in another folder, where no server puts it.
    #[error(
        "{} names {name:?} as the log's base, and a base is in the same folder: put the manifest back from a copy",
        manifest.display()
    )]
    Elsewhere {
        /// The list of the log's files.
        manifest: PathBuf,
        /// What it names.
        name: String,
    },
}

/// A server could not be made ready to start.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A folder or file could not be had.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// What was there forbids it.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A snapshot is there, which the server would pass over in favour of an empty log.
    #[error(
        "{} holds a snapshot (dump.rdb) and no append-only file: the server would start empty and overwrite the \
         snapshot. Move it away to start empty, or turn it into an append-only file with another server",
        folder.display()
    )]
    SnapshotOnly {
        /// The data directory.
        folder: PathBuf,
    },
    /// The work came to no end.
    #[error("preparing gave no answer")]
    CutOff(#[source] sys::tasks::Broken),
}

/// Users could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CompleteError {
    /// A file could not be written.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The record could not be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// No connection could be had.
    #[error("cannot connect to {} as {OPERATOR}", socket.display())]
    Connect {
        /// The server's socket.
        socket: PathBuf,
        /// Why not.
        source: redis::RedisError,
    },
    /// A command failed.
    #[error("cannot {doing}")]
    Command {
        /// What it was for.
        doing: &'static str,
        /// Why not.
        source: redis::RedisError,
    },
    /// The server runs, and keeps no append-only file.
    #[error("the server has no append-only file in {}, although its settings ask for one", folder.display())]
    NoLog {
        /// The data directory.
        folder: PathBuf,
    },
    /// It took too long.
    #[error("the server did not finish within {} s", COMPLETE_TIMEOUT.as_secs())]
    Late,
}

/// What Redis servers this machine has. Runs programs: not for an async task's own thread.
pub fn discover(search_path: &[PathBuf]) -> Installations {
    crate::installation::discover(Program::Redis, &crate::installation::candidates(Program::Redis, search_path))
}

impl Server {
    /// A server for a resource: of the product that wrote its data, and of its newest installed version.
    pub fn new(place: Place, spec: &Redis, installations: &Installations) -> Result<Self, ServerError> {
        if spec.standbys > 0 {
            return Err(ServerError::Unsupported("standbys"));
        }
        let folder = place.data();
        let data = settings::product(&folder).map_err(|source| ServerError::Data { folder, source })?;
        let installation = installations.choose_like(data)?.clone();
        Ok(Self { place, installation, spec: spec.clone() })
    }

    /// Where it lives.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The version that runs.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// The server as supervision runs it. Who may log in, and with which password, decides what
    /// completes it.
    pub fn operated(&self, passwords: &Passwords, log: LogPolicy) -> Operated {
        let command = Command {
            program: self.installation.server.clone(),
            arguments: vec![
                self.place.config().join(settings::FILE_NAME).display().to_string(),
                "--port".to_owned(),
                PORT_MARK.to_owned(),
            ],
            environment: BTreeMap::from([("TZ".to_owned(), EnvironmentValue::from("UTC".to_owned()))]),
            // As whom a server reads its log in, it learns when it starts.
            settings: format!("{}\n{}{}", self.installation.version, self.settings(), users::DEFAULT),
            completion: passwords.digest(users::FORMAT),
            stop: StopPolicy { gently: GentleSignal::Terminate, deadline: STOP_DEADLINE },
            ready: Question::Exchange {
                at: Some(model::Address::Unix(self.place.sockets.join(SOCKET))),
                // Any word is good for a password; while data is read in, the second answer is an error.
                send: format!("AUTH {} none\r\nPING\r\n", users::PROBER).into_bytes(),
                expect: b"+OK\r\n+PONG".to_vec(),
            },
            live: None,
        };
        operated(&self.place, self.spec.port, log, command)
    }

    /// The variables with which a holder of a password reaches the server. Without one of its own it has
    /// none.
    pub fn connection(&self, port: Port, holder: &Holder, passwords: &Passwords) -> Option<Variables> {
        let password = passwords.others.get(holder)?;
        let user = users::user(holder);
        let resource = &self.place.resource;
        let connection = Connection { resource, scheme: "redis", port, user: &user, password, database: None };
        Some(connection.variables())
    }

    /// Makes everything ready for a start. To be run before each; does what is missing.
    pub async fn prepare(&self, passwords: &Passwords, now: Timestamp) -> Result<(), PrepareError> {
        let (server, passwords) = (self.clone(), passwords.clone());
        let work = sys::tasks::blocking(move || server.prepare_blocking(&passwords, now));
        work.await.map_err(PrepareError::CutOff)?
    }

    fn prepare_blocking(&self, passwords: &Passwords, now: Timestamp) -> Result<(), PrepareError> {
        self.place.make()?;
        self.place.socket(SOCKET)?;
        self.place.make_folder(&self.place.data(), Access::Server)?;
        self.never_empty(now)?;
        self.write_users(passwords)?;
        let path = self.place.config().join(settings::FILE_NAME);
        Ok(self.place.write(&path, self.settings().as_bytes(), Access::Group)?)
    }

    /// A server that starts empty where data was has lost it, and copies of it would follow.
    fn never_empty(&self, now: Timestamp) -> Result<(), PrepareError> {
        let data = self.place.data();
        let record = record::read(&self.place, Kind::Redis)?;
        match (settings::has_log(&data)?, record) {
            (true, _) => Ok(record::note(&self.place, Kind::Redis, now)?),
            (false, Some(record)) => {
                let missing = format!("data/{} is missing or lists no file", settings::MANIFEST);
                Err(record::gone(&self.place, &record, missing).into())
            }
            (false, None) if data.join("dump.rdb").exists() => Err(PrepareError::SnapshotOnly { folder: data }),
            (false, None) => Ok(()),
        }
    }

    fn write_users(&self, passwords: &Passwords) -> Result<(), PlaceError> {
        let path = self.place.config().join(settings::USERS_FILE_NAME);
        self.place.write(&path, users::file(passwords).as_bytes(), Access::Group)
    }

    /// Makes the users as the passwords say: a service among them may log in, any other may not.
    pub async fn complete(&self, passwords: &Passwords, now: Timestamp) -> Result<(), CompleteError> {
        let work = self.complete_in_time(passwords, now);
        tokio::time::timeout(COMPLETE_TIMEOUT, work).await.unwrap_or(Err(CompleteError::Late))
    }

    async fn complete_in_time(&self, passwords: &Passwords, now: Timestamp) -> Result<(), CompleteError> {
        self.write_users(passwords)?;
        let mut connection = self.connected(passwords).await?;
        let run = |doing| move |source| CompleteError::Command { doing, source };
        // Reading the file again would end every connection; these end only those of users that go.
        for (name, rules) in users::rules(passwords) {
            let mut command = redis::cmd("ACL");
            command.arg("SETUSER").arg(&name).arg("reset").arg(rules);
            command.exec_async(&mut connection).await.map_err(run("make the users"))?;
        }
        let known: Vec<String> =
            redis::cmd("ACL").arg("USERS").query_async(&mut connection).await.map_err(run("list the users"))?;
        for gone in users::gone(&known, passwords) {
            let mut command = redis::cmd("ACL");
            command.arg("DELUSER").arg(gone).exec_async(&mut connection).await.map_err(run("remove a user"))?;
        }
        let data = self.place.data();
        match settings::has_log(&data)? {
            true => Ok(record::note(&self.place, Kind::Redis, now)?),
            false => Err(CompleteError::NoLog { folder: data }),
        }
    }

    async fn connected(&self, passwords: &Passwords) -> Result<redis::aio::MultiplexedConnection, CompleteError> {
        let socket = self.place.socket(SOCKET)?;
        let failed = |source| CompleteError::Connect { socket: socket.clone(), source };
        let login =
            redis::RedisConnectionInfo::default().set_username(OPERATOR).set_password(passwords.operator.expose());
        let address = redis::ConnectionAddr::Unix(socket.clone());
        let info = redis::IntoConnectionInfo::into_connection_info(address).map_err(failed)?;
        let client = redis::Client::open(info.set_redis_settings(login)).map_err(failed)?;
        client.get_multiplexed_async_connection().await.map_err(failed)
    }

    fn settings(&self) -> String {
        settings::settings(&self.spec, &self.place.data(), &self.place.config(), &self.place.sockets.join(SOCKET))
    }
}
