//! The object store, operated: this program's own server as a process of its own.
//!
//! Start reading at [`Server`]. The server is told its buckets and who may use them once it answers, over a socket in a
//! folder that only it and the node may enter. A change of those is told to the running server; until it is told
//! anything, it answers requests with 503, which clients try again.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ::objects::control::{ToNode, ToServer};
use ::objects::settings::{Bucket, Key, Secret, Settings};
use ::objects::store;
use model::stack::Objects;
use model::{BucketName, Holder, Port, Timestamp};
use plan::supervision::{GentleSignal, StopPolicy};
use supervise::launch::{LogPolicy, PORT_MARK};
use supervise::supervisor::Question;
use sys::messages::{self, Incoming, MessageError};
use tokio::net::UnixStream;

use crate::connection::{self, HOST, Variables, service_user};
use crate::operated::{COMPLETE_TIMEOUT, Command, Operated, STOP_DEADLINE, digest_of, operated};
use crate::place::{Access, PlaceError};
use crate::record::{self, Kind, RecordError};
use crate::{Passwords, Place};

/// The server's socket for the node within [`Place::sockets`].
pub const CONTROL_SOCKET: &str = "objects.sock";

/// What requests are signed for by clients that are told no region. The store takes any; this is the one that every
/// client knows.
const REGION: &str = "us-east-1";
/// Changes when the settings are made otherwise, so that they are told again to servers that run.
const SETTINGS_FORMAT: u32 = 1;
/// What a server answers with 200 that can serve, also before it has been told what.
const LIVE_REQUEST: &[u8] = b"GET /-/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
const LIVE_ANSWER: &[u8] = b"HTTP/1.1 200";

/// The program that the server is: these words, then the store's folder, the folder of [`CONTROL_SOCKET`] and the port.
#[derive(Debug, Clone)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// What makes it an object server.
    pub words: Vec<String>,
}

/// One object server of a stack.
#[derive(Debug, Clone)]
pub struct Server {
    place: Place,
    program: Program,
    spec: Objects,
    port: Port,
}

/// A server could not be made ready to start.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A folder could not be had.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// What was there forbids it.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The work came to no end.
    #[error("preparing gave no answer")]
    CutOff(#[source] sys::tasks::Broken),
}

/// The server could not be told its buckets and keys.
#[derive(Debug, thiserror::Error)]
pub enum CompleteError {
    /// The socket's path is too long.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The record could not be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// No connection could be had.
    #[error("cannot connect to {}", socket.display())]
    Connect {
        /// The server's socket.
        socket: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The connection broke, or what it carried is no message.
    #[error("cannot tell the server its buckets and keys")]
    Messages(#[from] MessageError),
    /// The server ended the connection.
    #[error("the server ended the connection before it had taken over its buckets and keys")]
    Silent,
    /// It answered something else than was asked.
    #[error("the server answered out of turn: it is of another version of this program; restart the resource")]
    OutOfTurn,
    /// It does not take them.
    #[error("the server cannot work by its buckets and keys: {0}")]
    Refused(String),
    /// It took too long.
    #[error("the server did not answer within {} s", COMPLETE_TIMEOUT.as_secs())]
    Late,
}

impl Server {
    /// A server for a resource on this port.
    pub fn new(place: Place, spec: &Objects, port: Port, program: Program) -> Self {
        Self { place, program, spec: spec.clone(), port }
    }

    /// The server as supervision runs it. Its buckets, and who may use them, decide what completes it.
    pub fn operated(&self, passwords: &Passwords, log: LogPolicy) -> Operated {
        let folders = [self.place.data(), self.place.sockets.clone()].map(|folder| folder.display().to_string());
        let words = self.program.words.iter().cloned();
        let alive = Question::Exchange { at: None, send: LIVE_REQUEST.to_vec(), expect: LIVE_ANSWER.to_vec() };
        let command = Command {
            program: self.program.path.clone(),
            arguments: words.chain(folders).chain([PORT_MARK.to_owned()]).collect(),
            environment: BTreeMap::new(),
            settings: String::new(),
            completion: digest_of(&(&self.spec, passwords.digest(SETTINGS_FORMAT))),
            stop: StopPolicy { gently: GentleSignal::Terminate, deadline: STOP_DEADLINE },
            ready: alive.clone(),
            // One that cannot believe its disk any more takes nothing until it is started anew.
            live: Some(alive),
        };
        operated(&self.place, Some(self.port), log, command)
    }

    /// The variables with which a service that has a key reaches the server.
    pub fn connection(&self, holder: &Holder, passwords: &Passwords) -> Option<Variables> {
        let Holder::Service(service) = holder else { return None };
        let secret = passwords.others.get(holder)?;
        let values = [
            ("ENDPOINT", format!("http://{HOST}:{}", self.port)),
            ("REGION", REGION.to_owned()),
            ("BUCKET", self.spec.buckets.first().map(BucketName::to_string).unwrap_or_default()),
            ("BUCKETS", self.bucket_list()),
            ("ACCESS_KEY", service_user(service)),
            ("SECRET_KEY", secret.expose().to_owned()),
        ];
        Some(connection::variables(&self.place.resource, values))
    }

    /// The buckets as services are told them.
    pub fn bucket_list(&self) -> String {
        self.spec.buckets.iter().map(BucketName::as_str).collect::<Vec<_>>().join(",")
    }

    /// Makes everything ready for a start. To be run before each; does what is missing.
    pub async fn prepare(&self) -> Result<(), PrepareError> {
        let server = self.clone();
        sys::tasks::blocking(move || server.prepare_blocking()).await.map_err(PrepareError::CutOff)?
    }

    fn prepare_blocking(&self) -> Result<(), PrepareError> {
        self.place.make()?;
        self.place.socket(CONTROL_SOCKET)?;
        self.place.make_folder(&self.place.data(), Access::Server)?;
        self.never_empty()
    }

    /// A server that starts empty where objects were would answer that there never were any.
    fn never_empty(&self) -> Result<(), PrepareError> {
        match record::read(&self.place, Kind::Objects)? {
            Some(record) if !store::is_store(&self.place.data()) => {
                let missing = format!("{} holds no object store", self.place.data().display());
                Err(record::gone(&self.place, &record, missing).into())
            }
            _ => Ok(()),
        }
    }

    /// Tells the server its buckets, and the keys of those who may use them: a service among them may, any other may not.
    pub async fn complete(&self, passwords: &Passwords, now: Timestamp) -> Result<(), CompleteError> {
        tokio::time::timeout(COMPLETE_TIMEOUT, self.tell(passwords)).await.unwrap_or(Err(CompleteError::Late))?;
        // It has opened its store, or it would not have answered.
        Ok(record::note(&self.place, Kind::Objects, now)?)
    }

    async fn tell(&self, passwords: &Passwords) -> Result<(), CompleteError> {
        let socket = self.place.socket(CONTROL_SOCKET)?;
        let connected = UnixStream::connect(&socket).await;
        let mut stream = connected.map_err(|source| CompleteError::Connect { socket, source })?;
        let mut incoming = Incoming::default();
        let ToNode::Hello { settings: last, .. } = hear(&mut incoming, &mut stream).await? else {
            return Err(CompleteError::OutOfTurn);
        };
        let number = last.saturating_add(1);
        let settings = ToServer::Settings(Box::new(self.settings(number, passwords)));
        messages::write(&mut stream, &settings).await?;
        match hear(&mut incoming, &mut stream).await? {
            ToNode::Applied { settings } if settings == number => Ok(()),
            ToNode::Refused { why, .. } => Err(CompleteError::Refused(why)),
            _ => Err(CompleteError::OutOfTurn),
        }
    }

    /// Every service that uses the store may use all of its buckets.
    fn settings(&self, number: u64, passwords: &Passwords) -> Settings {
        let buckets: Vec<String> = self.spec.buckets.iter().map(BucketName::to_string).collect();
        let key = |(holder, password): (&Holder, &crate::Password)| match holder {
            Holder::Service(service) => Some(Key {
                id: service_user(service),
                secret: Secret::new(password.expose().to_owned()),
                buckets: buckets.clone(),
            }),
            Holder::Operator | Holder::Owner => None,
        };
        Settings {
            number,
            region: REGION.to_owned(),
            keys: passwords.others.iter().filter_map(key).collect(),
            buckets: buckets.into_iter().map(|name| Bucket { name, versioning: self.spec.versions }).collect(),
        }
    }
}

async fn hear(incoming: &mut Incoming, stream: &mut UnixStream) -> Result<ToNode, CompleteError> {
    incoming.next(stream).await?.ok_or(CompleteError::Silent)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use model::ByteSize;
    use model::stack::Resource;
    use zeroize::Zeroizing;

    use super::*;
    use crate::Password;

    fn server(buckets: &[&str]) -> Server {
        let place = Place {
            resource: "order-files".parse().unwrap(),
            folder: "/srv/shop/resources/order-files".into(),
            sockets: "/run/shop/order-files".into(),
            user: None,
        };
        let spec = Objects { buckets: buckets.iter().map(|name| name.parse().unwrap()).collect(), versions: true };
        Server::new(
            place,
            &spec,
            Port::new(7001).unwrap(),
            Program { path: "/bin/mainstay".into(), words: vec!["serve".to_owned()] },
        )
    }

    fn passwords(services: &[&str]) -> Passwords {
        let password = |name: &str| Password::new(Zeroizing::new(format!("{name}-password-0123"))).unwrap();
        let other = |name: &&str| (Holder::Service(name.parse().unwrap()), password(name));
        Passwords { operator: password("operator"), others: services.iter().map(other).collect() }
    }

    fn operated(server: &Server, services: &[&str]) -> Operated {
        let log = LogPolicy { folder: "/srv/shop/logs".into(), file_max: ByteSize::mebibytes(1), files_max: 1 };
        server.operated(&passwords(services), log)
    }

    #[test]
    fn a_service_is_told_what_the_stack_says_of_its_variables() {
        let (server, holder) = (server(&["orders", "receipts"]), Holder::Service("web-api".parse().unwrap()));
        let told = server.connection(&holder, &passwords(&["web-api"])).unwrap();
        let told: Vec<String> = told.iter().map(|(name, value)| format!("{name}={}", *value.0)).collect();
        expect_test::expect![[r#"
            [
                "ORDER_FILES_ACCESS_KEY=web_api_service",
                "ORDER_FILES_BUCKET=orders",
                "ORDER_FILES_BUCKETS=orders,receipts",
                "ORDER_FILES_ENDPOINT=http://127.0.0.1:7001",
                "ORDER_FILES_REGION=us-east-1",
                "ORDER_FILES_SECRET_KEY=web-api-password-0123",
            ]
        "#]]
        .assert_debug_eq(&told);
        let names: BTreeSet<&str> = told.iter().filter_map(|told| told.split_once('=')).map(|(name, _)| name).collect();
        let suffixes = Resource::Objects(server.spec.clone()).variable_suffixes();
        let promised: Vec<String> = suffixes.iter().map(|suffix| format!("ORDER_FILES_{suffix}")).collect();
        assert_eq!(names, promised.iter().map(String::as_str).collect());
        assert!(server.connection(&holder, &passwords(&["worker"])).is_none(), "it does not use the store");
    }

    #[test]
    fn other_buckets_and_keys_are_told_to_the_server_that_runs() {
        let before = operated(&server(&["orders"]), &["api"]).unit;
        for after in [operated(&server(&["orders", "receipts"]), &["api"]), operated(&server(&["orders"]), &[])] {
            assert_eq!(after.unit.digest, before.digest, "it would be restarted");
            assert_ne!(after.unit.completed, before.completed, "it would not be told");
        }
    }

    #[test]
    fn each_service_that_uses_the_store_has_a_key_for_its_buckets_and_nobody_else_has() {
        let mut passwords = passwords(&["api", "worker"]);
        passwords.others.insert(Holder::Owner, passwords.operator.clone());
        let settings = server(&["orders", "receipts"]).settings(8, &passwords);
        assert_eq!(settings.check(), Ok(()));
        let keys: Vec<(&str, &str, usize)> =
            settings.keys.iter().map(|key| (key.id.as_str(), key.secret.expose(), key.buckets.len())).collect();
        assert_eq!(keys, [("api_service", "api-password-0123", 2), ("worker_service", "worker-password-0123", 2)]);
        assert!(settings.buckets.iter().all(|bucket| bucket.versioning));
    }
}
