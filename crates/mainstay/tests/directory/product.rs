//! The Company Directory in a world of its own, and somebody who asks it with curl.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::world::{Ran, World, built, place};

/// The password of everybody who is seeded.
pub(crate) const PASSWORD: &str = "directory-demo";

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/directory");
/// The ports that the example's file names.
const PORTS: &str = "https: 8443, http: 8080";

/// The product, up.
pub(crate) struct Product {
    pub(crate) world: World,
    pub(crate) https: u16,
    pub(crate) http: u16,
    /// Its file, as it was first brought up.
    pub(crate) file: String,
    environment: &'static str,
}

impl Product {
    /// Runs by the example's own file, in which only the ports are others.
    pub(crate) fn up(name: &str) -> Self {
        Self::up_in(name, "development")
    }

    /// The same, in another environment of the file.
    pub(crate) fn up_in(name: &str, environment: &'static str) -> Self {
        let (https, http) = (free_port(), free_port());
        let text = fs::read_to_string(Path::new(EXAMPLE).join("mainstay.yaml")).unwrap();
        assert!(text.contains(PORTS), "{text}");
        let file = text.replace(PORTS, &format!("https: {https}, http: {http}"));
        let world = World::new(name, &file);
        place(program(), &world.folder.join("bin/directory"));
        copy_folder(&Path::new(EXAMPLE).join("frontend"), &world.folder.join("frontend"));
        let product = Self { world, https, http, file, environment };
        product.apply();
        product
    }

    /// Applies the file as it is, and waits until everything is ready.
    #[track_caller]
    pub(crate) fn apply(&self) -> Ran {
        self.world.done(&["up", "--env", self.environment, "--wait", "100s"])
    }

    /// The host of a company.
    pub(crate) fn host(tenant: &str) -> String {
        format!("{tenant}.directory.localhost")
    }

    /// The address of a company's page.
    pub(crate) fn address(&self, tenant: &str, path: &str) -> String {
        format!("https://{}:{}{path}", Self::host(tenant), self.https)
    }

    /// curl, which finds a company's host here and trusts nobody yet.
    pub(crate) fn curl(&self, tenant: &str) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "30"]);
        for port in [self.https, self.http] {
            curl.args(["--resolve", &format!("{}:{port}:127.0.0.1", Self::host(tenant))]);
        }
        curl
    }

    /// What a client is to trust.
    pub(crate) fn authority(&self) -> PathBuf {
        self.world.state.join("authority.pem")
    }

    /// Somebody at a company's page who has not logged in.
    pub(crate) fn visitor(&self, tenant: &str) -> Visitor<'_> {
        Visitor { product: self, tenant: tenant.to_owned(), cookie: None }
    }
}

/// Somebody at a company's page, who trusts the local authority and nobody else.
#[derive(Clone)]
pub(crate) struct Visitor<'a> {
    product: &'a Product,
    tenant: String,
    cookie: Option<String>,
}

impl Visitor<'_> {
    /// The same one with a session.
    pub(crate) fn logged_in(&self, email: &str) -> Self {
        let body = json!({ "email": email, "password": PASSWORD }).to_string();
        let answer = self.ask("/api/session", &["--json", &body]);
        assert_eq!(answer.status, 200, "{answer:?}");
        let cookie = answer.field("set-cookie").split(';').next().unwrap().to_owned();
        Self { cookie: Some(cookie), ..self.clone() }
    }

    /// The same one at another company's page, with the same cookie.
    pub(crate) fn at(&self, tenant: &str) -> Self {
        Self { tenant: tenant.to_owned(), ..self.clone() }
    }

    /// What shows whose session it is.
    pub(crate) fn cookie(&self) -> &str {
        self.cookie.as_deref().unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(path, &[])
    }

    /// Asks with further words for curl.
    pub(crate) fn ask(&self, path: &str, words: &[&str]) -> Answer {
        let mut curl = self.product.curl(&self.tenant);
        curl.arg("-i").arg("--cacert").arg(self.product.authority()).args(["-H", "Expect:"]);
        if let Some(cookie) = &self.cookie {
            curl.args(["-H", &format!("Cookie: {cookie}")]);
        }
        Answer::of(&curl.args(words).arg(self.product.address(&self.tenant, path)).output().unwrap())
    }

    /// Asks until the answer is good.
    pub(crate) fn get_until_good(&self, path: &str) -> Answer {
        let (answer, _) = self.product.world.wait_for(path, || Some(self.get(path)).filter(|it| it.status == 200));
        answer
    }

    /// One's own number.
    pub(crate) fn own_id(&self) -> u64 {
        self.get("/api/session").json()["who"]["person"].as_u64().unwrap()
    }
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Lines, with names in lower case.
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn of(ran: &Output) -> Self {
        let said = || format!("{}\n{}", String::from_utf8_lossy(&ran.stderr), String::from_utf8_lossy(&ran.stdout));
        assert!(ran.status.success(), "{}", said());
        let end = ran.stdout.windows(4).position(|it| it == b"\r\n\r\n").unwrap_or_else(|| panic!("{}", said()));
        let head = String::from_utf8_lossy(&ran.stdout[..end]);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let lower = |line: &str| match line.split_once(": ") {
            Some((name, value)) => format!("{}: {value}\n", name.to_lowercase()),
            None => String::new(),
        };
        Self { status, head: head.lines().map(lower).collect(), body: ran.stdout[end + 4..].to_vec() }
    }

    /// The value of a field; empty where there is none.
    pub(crate) fn field(&self, name: &str) -> &str {
        let prefix = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{} {}", self.status, self.text()))
    }
}

/// The program of the example.
fn program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("directory"))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&from, &to),
            false => drop(fs::copy(from, to).unwrap()),
        }
    }
}
