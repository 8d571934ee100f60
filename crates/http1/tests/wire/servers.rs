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
    command: fn(&Path, u16) -> Vec<String>,
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
        let folder = scratch(self.name);
        let port = free_port();
        let words = (self.command)(&folder, port);
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

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

fn nginx(folder: &Path, port: u16) -> Vec<String> {
    let (at, upstream) = (folder.display(), echo::serve());
    let text = format!(
        "daemon off; master_process off; pid {at}/pid; error_log stderr;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;
    uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
    large_client_header_buffers 8 64k; client_max_body_size 0;
    underscores_in_headers on; ignore_invalid_headers off; merge_slashes off;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://{upstream}; proxy_http_version 1.1; proxy_set_header Host $http_host;
            proxy_buffer_size 64k; proxy_buffers 16 64k;
        }}
    }}
}}
"
    );
    write(folder, "nginx.conf", &text);
    words(&format!("-p {at} -c {at}/nginx.conf"))
}

fn haproxy(folder: &Path, port: u16) -> Vec<String> {
    let upstream = echo::serve();
    let text = format!(
        "global
    tune.bufsize 65536
    tune.http.maxhdr 300
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend all
    bind 127.0.0.1:{port}
    default_backend echo
backend echo
    server one {upstream}
"
    );
    write(folder, "haproxy.cfg", &text);
    words(&format!("-db -f {}/haproxy.cfg", folder.display()))
}

fn apache(folder: &Path, port: u16) -> Vec<String> {
    let (at, upstream) = (folder.display(), echo::serve());
    let modules = "/usr/lib/apache2/modules";
    let text = format!(
        "ServerRoot {at}
ServerName localhost
PidFile {at}/pid
ErrorLog {at}/log
Listen 127.0.0.1:{port}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
LimitRequestLine 65536
LimitRequestFieldSize 65536
LimitRequestFields 300
AllowEncodedSlashes NoDecode
MergeSlashes Off
TraceEnable extended
ProxyPreserveHost On
ProxyAddHeaders Off
ProxyPass / http://{upstream}/ nocanon
"
    );
    write(folder, "apache.conf", &text);
    words(&format!("-X -f {at}/apache.conf"))
}

fn node(folder: &Path, port: u16) -> Vec<String> {
    let text = format!(
        "const hex = (text) => Buffer.from(text, 'latin1').toString('hex');
require('http').createServer((request, response) => {{
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {{
    let text = `method ${{request.method}}\\ntarget ${{request.url}}\\n`;
    for (let i = 0; i < request.rawHeaders.length; i += 2)
      text += `field ${{request.rawHeaders[i]}} ${{hex(request.rawHeaders[i + 1])}}\\n`;
    response.end(text + `body ${{Buffer.concat(pieces).toString('hex')}}\\n`);
  }});
}}).listen({port}, '127.0.0.1');
"
    );
    write(folder, "echo.js", &text);
    words("--max-http-header-size=65536 echo.js")
}

fn uvicorn_h11(folder: &Path, port: u16) -> Vec<String> {
    uvicorn(folder, port, "h11 --h11-max-incomplete-event-size 65536")
}

fn uvicorn_httptools(folder: &Path, port: u16) -> Vec<String> {
    uvicorn(folder, port, "httptools")
}

fn uvicorn(folder: &Path, port: u16, parser: &str) -> Vec<String> {
    let text = "async def echo(scope, receive, send):
    if scope['type'] != 'http':
        return
    body, more = b'', True
    while more:
        event = await receive()
        body += event.get('body', b'')
        more = event.get('more_body', False)
    target = scope['raw_path'] + (b'?' + scope['query_string'] if scope['query_string'] else b'')
    text = f\"method {scope['method']}\\ntarget {target.decode('latin1')}\\n\"
    for name, value in scope['headers']:
        text += f\"field {name.decode('latin1')} {value.hex()}\\n\"
    text += f'body {body.hex()}\\n'
    out = text.encode('latin1')
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-length', b'%d' % len(out))]})
    await send({'type': 'http.response.body', 'body': b'' if scope['method'] == 'HEAD' else out})
";
    write(folder, "echo.py", text);
    words(&format!(
        "--app-dir {} --port {port} --lifespan off --ws none --no-proxy-headers --http {parser} echo:echo",
        folder.display()
    ))
}

fn gunicorn(folder: &Path, port: u16) -> Vec<String> {
    let text = "def echo(environ, start_response):
    body = environ['wsgi.input'].read()
    text = f\"method {environ['REQUEST_METHOD']}\\ntarget {environ['RAW_URI']}\\n\"
    for name, value in environ.items():
        if name.startswith('HTTP_') or name in ('CONTENT_TYPE', 'CONTENT_LENGTH'):
            text += f\"field {name.removeprefix('HTTP_')} {value.encode('latin1').hex()}\\n\"
    out = (text + f'body {body.hex()}\\n').encode('latin1')
    start_response('200 OK', [('Content-Length', str(len(out)))])
    return [b'' if environ['REQUEST_METHOD'] == 'HEAD' else out]
";
    write(folder, "echo.py", text);
    let limits = "--limit-request-line 0 --limit-request-fields 300 --limit-request-field_size 0";
    words(&format!(
        "--chdir {} --bind 127.0.0.1:{port} --worker-class gthread --threads 4 --header-map dangerous {limits} echo:echo",
        folder.display()
    ))
}
