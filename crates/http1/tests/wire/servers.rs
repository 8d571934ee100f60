//! Other people's servers, each started on a free port of the loopback interface and stopped with its test.
//!
//! Every one shows what it has read: the proxies by an [`echo`](crate::echo) behind them, the others by a small program.
//! Their limits are raised to those of this crate, and what they drop or rewrite by default is switched off where it can be.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::echo;

/// How long a server may take to listen, or to end.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// A server that can be started, if it is installed.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// The programs it needs, looked for in `PATH`; the first one is started.
    programs: &'static [&'static str],
    /// Prints its version.
    version: &'static str,
    /// Writes its configuration into a folder and says how to start it there.
    command: fn(&Place) -> Vec<String>,
}

pub(crate) const KINDS: &[Kind] = &[
    Kind { name: "nginx", programs: &["nginx"], version: "-v", command: nginx },
    Kind { name: "HAProxy", programs: &["haproxy"], version: "-v", command: haproxy },
    Kind { name: "Apache", programs: &["apache2"], version: "-v", command: apache },
    Kind { name: "Node", programs: &["node"], version: "--version", command: node },
    Kind { name: "uvicorn, h11", programs: &["uvicorn"], version: "--version", command: uvicorn_h11 },
    Kind { name: "uvicorn, httptools", programs: &["uvicorn"], version: "--version", command: uvicorn_httptools },
    Kind { name: "gunicorn", programs: &["gunicorn"], version: "--version", command: gunicorn },
];

/// A running server.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) address: SocketAddr,
    child: Child,
    folder: PathBuf,
}

impl Kind {
    /// Starts it, or says what is missing.
    pub(crate) fn start(&self) -> Result<Server, String> {
        if let Some(missing) = self.programs.iter().find(|program| !is_installed(program)) {
            return Err(format!("{missing} is not installed"));
        }
        let place = Place { folder: scratch(self.name), port: free_port() };
        let words = (self.command)(&place);
        let Place { folder, port } = place;
        let child = Command::new(self.programs[0])
            .args(&words)
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(log(&folder, "out"))
            .stderr(log(&folder, "err"))
            .spawn()
            .unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Server { name: self.name, version: self.version(), address, child, folder };
        server.wait();
        Ok(server)
    }

    /// The first number with dots that it prints about itself.
    fn version(&self) -> String {
        let output = Command::new(self.programs[0]).arg(self.version).output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let words = text.split(|c: char| !c.is_ascii_digit() && c != '.');
        words.map(str::to_owned).find(|word| word.contains('.') && word.len() > 2).unwrap_or_default()
    }
}

impl Server {
    fn wait(&mut self) {
        for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
            if TcpStream::connect(self.address).is_ok() {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                let error = std::fs::read_to_string(self.folder.join("err")).unwrap_or_default();
                panic!("{} ended with {status}: {error}", self.name);
            }
            std::thread::sleep(POLL);
        }
        panic!("{} does not listen", self.name);
    }
}

impl Drop for Server {
    /// SIGTERM first: gunicorn has children that it has to end itself.
    fn drop(&mut self) {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        let mut ended = false;
        for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
            ended = asked.is_err() || !matches!(self.child.try_wait(), Ok(None));
            if ended {
                break;
            }
            std::thread::sleep(POLL);
        }
        if !ended && let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            println!("{} could not be stopped: {error}", self.name);
        }
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            println!("{} was not removed: {error}", self.folder.display());
        }
    }
}

fn is_installed(program: &str) -> bool {
    let started = Command::new(program).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
    !matches!(started, Err(error) if error.kind() == ErrorKind::NotFound)
}

fn scratch(name: &str) -> PathBuf {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let folder = std::env::temp_dir().join(format!("http1-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn log(folder: &Path, name: &str) -> std::fs::File {
    std::fs::File::create(folder.join(name)).unwrap()
}

/// A port that was free a moment ago: none of these servers can be asked which one it took.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Where one server runs.
struct Place {
    folder: PathBuf,
    port: u16,
}

impl Place {
    /// Writes a file into the folder, with this place filled in.
    fn write(&self, name: &str, text: &str) {
        let text =
            text.replace("@folder@", &self.folder.display().to_string()).replace("@port@", &self.port.to_string());
        std::fs::write(self.folder.join(name), text).unwrap();
    }

    /// The same for a proxy, with an echo behind it.
    fn write_proxy(&self, name: &str, text: &str) {
        self.write(name, &text.replace("@upstream@", &echo::serve().to_string()));
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn nginx(place: &Place) -> Vec<String> {
    place.write_proxy("nginx.conf", include_str!("servers/nginx.conf"));
    let at = place.folder.display();
    words(&format!("-p {at} -c {at}/nginx.conf"))
}

fn haproxy(place: &Place) -> Vec<String> {
    place.write_proxy("haproxy.cfg", include_str!("servers/haproxy.cfg"));
    words("-db -f haproxy.cfg")
}

fn apache(place: &Place) -> Vec<String> {
    place.write_proxy("apache.conf", include_str!("servers/apache.conf"));
    words(&format!("-X -f {}/apache.conf", place.folder.display()))
}

fn node(place: &Place) -> Vec<String> {
    place.write("echo.js", include_str!("servers/echo.js"));
    words("--max-http-header-size=65536 echo.js")
}

fn uvicorn_h11(place: &Place) -> Vec<String> {
    uvicorn(place, "h11 --h11-max-incomplete-event-size 65536")
}

fn uvicorn_httptools(place: &Place) -> Vec<String> {
    uvicorn(place, "httptools")
}

fn uvicorn(place: &Place, parser: &str) -> Vec<String> {
    place.write("asgi_echo.py", include_str!("servers/asgi_echo.py"));
    let (folder, port) = (place.folder.display(), place.port);
    words(&format!(
        "--app-dir {folder} --port {port} --lifespan off --ws none --no-proxy-headers --http {parser} asgi_echo:echo"
    ))
}

fn gunicorn(place: &Place) -> Vec<String> {
    place.write("wsgi_echo.py", include_str!("servers/wsgi_echo.py"));
    let (folder, port) = (place.folder.display(), place.port);
    let limits = "--limit-request-line 0 --limit-request-fields 300 --limit-request-field_size 0";
    words(&format!(
        "--chdir {folder} --bind 127.0.0.1:{port} --worker-class gthread --threads 4 --header-map dangerous {limits} wsgi_echo:echo"
    ))
}
