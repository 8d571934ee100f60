//! The gateways that are compared, each configured to do what ours does by default, and the origin behind them. Start
//! reading at [`Stand::new`].

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::load::LOAD_CORE;
use super::security_headers::STRICT;
use super::wire::Door;
use super::work::{LARGE_BYTES, SMALL_BYTES, STATIC_BYTES, Wire, Work};
use crate::bench::memory;
use crate::bench::{Error, finish, wait_for};

/// The core that each gateway has.
const GATEWAY_CORE: &str = "0";
/// The certificate of the peers, which vouches for itself.
const CERTIFICATE: &str = "certificate.pem";
/// How long a gateway may take until it answers.
const PATIENCE: Duration = Duration::from_secs(30);
/// The programs that are needed.
const PROGRAMS: [&str; 7] = ["nginx", "haproxy", "wrk", "h2load", "curl", "openssl", "taskset"];

/// A gateway that serves.
pub(super) struct Gateway {
    pub(super) name: &'static str,
    /// Its name and version, for the page.
    pub(super) version: String,
    plain: u16,
    tls: u16,
    /// By what clients know that it is who it says.
    authority: PathBuf,
    processes: Processes,
}

/// Which processes are the gateway's.
enum Processes {
    /// One that we started, and its children.
    Of(Child),
    /// The edges of our stacks with their shims, which write the log: where TLS is served, what is plain is redirected.
    Edges { plain: Stack, tls: Stack },
}

impl Gateway {
    /// HAProxy serves no files.
    pub(super) fn can(&self, work: Work) -> bool {
        work != Work::Static || self.name != "HAProxy"
    }

    pub(super) fn url(&self, work: Work) -> String {
        match work.wire() {
            Wire::Plain => format!("http://localhost:{}{}", self.plain, work.path()),
            Wire::Tls => format!("https://localhost:{}{}", self.tls, work.path()),
        }
    }

    /// Where clients of our own come in.
    pub(super) fn door(&self, wire: Wire) -> Result<Door, Error> {
        match wire {
            Wire::Plain => Ok(Door::plain(self.plain)),
            Wire::Tls => Door::tls(self.tls, &self.authority),
        }
    }

    /// Everything whose processor time and memory count.
    pub(super) fn pids(&self, wire: Wire) -> Result<Vec<u32>, Error> {
        match (&self.processes, wire) {
            (Processes::Of(child), _) => Ok(with_children(child.id())),
            (Processes::Edges { plain: stack, .. }, Wire::Plain) | (Processes::Edges { tls: stack, .. }, Wire::Tls) => {
                stack.unit("edge")
            }
        }
    }

    /// Every kind of work once, with an answer that has the right length and the headers.
    fn check(&self) -> Result<(), Error> {
        for work in Work::ALL.into_iter().filter(|&work| self.can(work)) {
            let bytes = match work {
                Work::Large => LARGE_BYTES,
                Work::Static => STATIC_BYTES,
                _ => SMALL_BYTES,
            };
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--insecure", "--output", "/dev/null", "--write-out"]);
            curl.args(["%{http_code} %{size_download} %header{x-frame-options}", &self.url(work)]);
            let wanted = format!("200 {bytes} DENY");
            let answers = || curl.output().is_ok_and(|output| output.stdout == wanted.as_bytes()).then_some(());
            wait_for(&format!("the answer {wanted} of {} to {}", self.name, self.url(work)), PATIENCE, answers)?;
        }
        Ok(())
    }
}

/// Everything that runs for the comparison; stopped with the value.
pub(super) struct Stand {
    pub(super) gateways: Vec<Gateway>,
    pub(super) folder: PathBuf,
}

impl Stand {
    pub(super) fn new(binary: &Path, scratch: &Path) -> Result<Self, Error> {
        let found = |program: &&&str| {
            Command::new("sh")
                .args(["-c", &format!("command -v {program}")])
                .output()
                .is_ok_and(|output| output.status.success())
        };
        if let Some(missing) = PROGRAMS.iter().find(|program| !found(program)) {
            return Err(Error::Missing(missing));
        }
        let folder = scratch.to_owned();
        make_files(&folder)?;
        let [plain, tls, origin, tls_origin] = free_ports()?;
        let own = Stack::up(binary, folder.join("plain"), &format!("http: {plain}"), "", origin)?;
        // The port of the redirect is not used.
        let [redirect] = free_ports()?;
        let listen = format!("https: {tls}, http: {redirect}");
        let own_tls = Stack::up(binary, folder.join("tls"), &listen, "  tls: local\n", tls_origin)?;
        let ours = Gateway {
            name: "Mainstay",
            version: version(binary, "--version")?,
            plain,
            tls,
            authority: own_tls.state().join("authority.pem"),
            processes: Processes::Edges { plain: own, tls: own_tls },
        };
        let stand = Self { gateways: vec![ours, nginx(&folder, origin)?, haproxy(&folder, origin)?], folder };
        stand.gateways.iter().try_for_each(Gateway::check)?;
        Ok(stand)
    }

    /// The processes behind the gateways.
    pub(super) fn origins(&self) -> Result<Vec<u32>, Error> {
        let stacks = self.gateways.iter().filter_map(|gateway| match &gateway.processes {
            Processes::Edges { plain, tls } => Some([plain, tls]),
            Processes::Of(_) => None,
        });
        stacks.flatten().map(|stack| stack.unit("origin")).collect::<Result<Vec<_>, _>>().map(|all| all.concat())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Processes::Of(child) = &mut self.processes {
            let ended = finish(Command::new("kill").arg(child.id().to_string())).map(|()| child.wait());
            if let Err(error) = ended {
                eprintln!("{} was not stopped: {error}", self.name);
            }
        }
    }
}

/// One of our stacks: an edge, an origin and a folder of files.
struct Stack {
    binary: PathBuf,
    folder: PathBuf,
}

impl Stack {
    fn up(binary: &Path, folder: PathBuf, listen: &str, tls: &str, origin: u16) -> Result<Self, Error> {
        let user = if crate::bench::peers::is_root() { "    user: root\n" } else { "" };
        let file = format!(
            "stack: bench\nservices:\n  origin:\n    run: taskset -c {LOAD_CORE} nginx -p {folder} -c {folder}/origin.conf\n    \
             port: {origin}\n{user}  files:\n    static: www\nedge:\n  listen: {{ {listen} }}\n{tls}  routes:\n    - {{ host: \
             localhost, path: /files/, to: files }}\n    - {{ host: localhost, to: origin, limit: {{ rate: 1000000000/min, \
             per: ip }} }}\n  protect: {{ headers: strict }}\n",
            folder = folder.display(),
        );
        write(&folder.join("mainstay.yaml"), file.as_bytes())?;
        write(&folder.join("origin.conf"), origin_conf(origin).as_bytes())?;
        write(&folder.join("origin/small"), &vec![b'x'; SMALL_BYTES])?;
        write(&folder.join("origin/large"), &vec![b'x'; LARGE_BYTES])?;
        write(&folder.join("www/files/page.bin"), &vec![b'x'; STATIC_BYTES])?;
        let stack = Self { binary: binary.to_owned(), folder };
        stack.call(&["up", "--detach", "--wait"])?;
        Ok(stack)
    }

    fn call(&self, words: &[&str]) -> Result<(), Error> {
        let mut command = Command::new("taskset");
        command.args(["-c", GATEWAY_CORE]).arg(&self.binary);
        command.arg("--file").arg(self.folder.join("mainstay.yaml")).arg("--state").arg(self.state()).args(words);
        finish(&mut command)
    }

    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// The shims and children of the units whose names begin so.
    fn unit(&self, name: &str) -> Result<Vec<u32>, Error> {
        let units = self.state().join("units");
        let is_its = |argument: &String| {
            Path::new(argument).strip_prefix(&units).is_ok_and(|unit| unit.to_string_lossy().starts_with(name))
        };
        let shims = memory::processes().into_iter().filter(|process| {
            process.arguments.get(1).is_some_and(|word| word == "shim") && process.arguments.iter().any(is_its)
        });
        let pids: Vec<u32> = shims.flat_map(|shim| with_children(shim.pid)).collect();
        match pids.is_empty() {
            true => Err(Error::Late { what: format!("a unit {name}"), within: Duration::ZERO }),
            false => Ok(pids),
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if let Err(error) = self.call(&["down"]) {
            eprintln!("{} was not stopped: {error}", self.folder.display());
        }
    }
}

fn nginx(folder: &Path, origin: u16) -> Result<Gateway, Error> {
    let [plain, tls] = free_ports()?;
    let headers: String =
        STRICT.into_iter().map(|(name, value)| format!("  add_header {name} \"{value}\" always;\n")).collect();
    let conf = include_str!("nginx.conf")
        .replace("{folder}", &folder.display().to_string())
        .replace("{headers}", &headers)
        .replace("{plain}", &plain.to_string())
        .replace("{tls}", &tls.to_string())
        .replace("{origin}", &origin.to_string());
    let file = folder.join("nginx.conf");
    write(&file, conf.as_bytes())?;
    let mut command = on_its_core("nginx");
    command.arg("-p").arg(folder).arg("-c").arg(&file);
    Ok(Gateway {
        name: "nginx",
        version: version(Path::new("nginx"), "-v")?,
        plain,
        tls,
        authority: folder.join(CERTIFICATE),
        processes: started(command, folder, "nginx.out")?,
    })
}

fn haproxy(folder: &Path, origin: u16) -> Result<Gateway, Error> {
    let [plain, tls] = free_ports()?;
    let headers: String =
        STRICT.into_iter().map(|(name, value)| format!("    http-response set-header {name} \"{value}\"\n")).collect();
    let conf = include_str!("haproxy.cfg")
        .replace("{folder}", &folder.display().to_string())
        .replace("{headers}", &headers)
        .replace("{plain}", &plain.to_string())
        .replace("{tls}", &tls.to_string())
        .replace("{origin}", &origin.to_string());
    let file = folder.join("haproxy.cfg");
    write(&file, conf.as_bytes())?;
    let mut command = on_its_core("haproxy");
    command.arg("-db").arg("-f").arg(&file);
    Ok(Gateway {
        name: "HAProxy",
        version: version(Path::new("haproxy"), "-v")?,
        plain,
        tls,
        authority: folder.join(CERTIFICATE),
        processes: started(command, folder, "haproxy.out")?,
    })
}

fn on_its_core(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", GATEWAY_CORE, program]);
    command
}

/// Starts a gateway; what it prints, the log of HAProxy among it, goes to a file.
fn started(mut command: Command, folder: &Path, output: &str) -> Result<Processes, Error> {
    let path = folder.join(output);
    let file = fs::File::create(&path).map_err(|source| Error::File { path, source })?;
    let shown = format!("{command:?}");
    let child = command.stdin(Stdio::null()).stdout(file).stderr(Stdio::inherit()).spawn();
    Ok(Processes::Of(child.map_err(|source| Error::Start { command: shown, source })?))
}

/// The certificate of the peers, and the file that nginx has itself.
fn make_files(folder: &Path) -> Result<(), Error> {
    write(&folder.join("www/files/page.bin"), &vec![b'x'; STATIC_BYTES])?;
    let (key, certificate) = (folder.join("key.pem"), folder.join(CERTIFICATE));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"]).arg(&key).arg("-out").arg(&certificate);
    finish(&mut openssl)?;
    let read = |path: &PathBuf| fs::read(path).map_err(|source| Error::File { path: path.clone(), source });
    write(&folder.join("both.pem"), &[read(&certificate)?, read(&key)?].concat())
}

fn origin_conf(port: u16) -> String {
    include_str!("origin.conf").replace("{port}", &port.to_string())
}

fn with_children(pid: u32) -> Vec<u32> {
    [vec![pid], memory::children(pid)].concat()
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    path.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(path, bytes))
        .map_err(|source| Error::File { path: path.to_owned(), source })
}

/// Ports that nobody had a moment ago.
fn free_ports<const N: usize>() -> Result<[u16; N], Error> {
    let bind = |_| TcpListener::bind("127.0.0.1:0").and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
    let taken: Result<Vec<_>, _> = (0..N).map(bind).collect();
    let taken = taken.map_err(|source| Error::File { path: PathBuf::from("127.0.0.1:0"), source })?;
    let ports: Vec<u16> = taken.iter().map(|(port, _)| *port).collect();
    Ok(std::array::from_fn(|at| ports[at]))
}

/// The first line that a program says of itself.
fn version(program: &Path, flag: &str) -> Result<String, Error> {
    let output = Command::new(program).arg(flag).output();
    let output = output.map_err(|source| Error::Start { command: program.display().to_string(), source })?;
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned())
}
