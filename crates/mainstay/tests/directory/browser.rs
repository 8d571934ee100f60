//! Headless Chromium, told what to do over the pipe that it offers for that (the Chrome DevTools Protocol), and windows of it.
//!
//! Start reading at [`Window`]. A window is waited for until it shows what it should; nothing here waits for a time.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::world::{POLL, steady};

/// How long a window may take to show what it should. Far more than any of it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the distributions call it.
const PROGRAMS: [&str; 2] = ["chromium", "chromium-browser"];

/// The browser reads what it is told from descriptor 3 and answers on 4.
const WITH_PIPES: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;

const WORDS: [&str; 10] = [
    "--headless",
    "--remote-debugging-pipe",
    // It opens nothing but our own page, and as root or in a container its own sandbox cannot be had.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE *.localhost",
];

/// How large a window is, in pixels of CSS.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Pixels of the screen for each of them.
    pub(crate) density: u32,
}

/// A browser, which ends when it is dropped.
pub(crate) struct Browser {
    child: Child,
    pipe: RefCell<Pipe>,
}

struct Pipe {
    to: ChildStdin,
    heard: Receiver<Value>,
    told: u64,
    complaints: Vec<String>,
}

impl Browser {
    /// Starts one that has its own folders, and whom it trusts, in this home.
    pub(crate) fn start(home: &Path) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", WITH_PIPES, installed()])
            .args(WORDS)
            .arg(format!("--user-data-dir={}", home.join("chromium").display()))
            .env("HOME", home)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let (hear, heard) = channel();
        #[expect(clippy::disallowed_methods, reason = "a pipe is read with a time limit only by a thread of its own")]
        std::thread::spawn(move || {
            let messages = from.split(0).map_while(Result::ok);
            messages.filter_map(|it| serde_json::from_slice(&it).ok()).try_for_each(|message| hear.send(message))
        });
        Self { child, pipe: RefCell::new(Pipe { to, heard, told: 0, complaints: Vec::new() }) }
    }

    /// A window of somebody who shares nothing with the other windows.
    pub(crate) fn window(&self, shape: Shape) -> Window<'_> {
        let tell = |method, parameters| self.pipe.borrow_mut().tell(None, method, &parameters).unwrap();
        let context = tell("Target.createBrowserContext", json!({}));
        let place = json!({ "url": "about:blank", "browserContextId": context["browserContextId"] });
        let target = tell("Target.createTarget", place);
        let attached = tell("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        let window = Window { browser: self, session: attached["sessionId"].as_str().unwrap().to_owned() };
        for part in ["Page", "Runtime", "Log"] {
            window.tell(&format!("{part}.enable"), json!({}));
        }
        window.tell("Emulation.setFocusEmulationEnabled", json!({ "enabled": true }));
        window.tell(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": shape.width, "height": shape.height, "deviceScaleFactor": shape.density, "mobile": false }),
        );
        window
    }

    /// Scripts that failed and policies that were broken, in all windows so far.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.pipe.borrow().complaints.clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Fails when it has ended by itself.
        drop(self.child.kill());
        self.child.wait().unwrap();
    }
}

fn installed() -> &'static str {
    let runs = |program: &&str| Command::new(program).arg("--version").output().is_ok_and(|it| it.status.success());
    PROGRAMS
        .into_iter()
        .find(runs)
        .unwrap_or_else(|| panic!("none of {PROGRAMS:?} runs: `tools/prepare test` installs it"))
}

impl Pipe {
    /// Tells the browser or one of its windows to do something, and waits for what came of it.
    fn tell(&mut self, session: Option<&str>, method: &str, parameters: &Value) -> Result<Value, String> {
        self.told += 1;
        let mut message = json!({ "id": self.told, "method": method, "params": parameters });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut heard = self.heard.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{method} is not answered"));
            if heard["id"] != self.told {
                self.complaints.extend(complaint(&heard));
                continue;
            }
            return match heard.get("error") {
                Some(error) => Err(format!("{method}: {error}")),
                None => Ok(heard["result"].take()),
            };
        }
    }
}

/// What a message complains of. Answers other than good ones are the page's own business.
fn complaint(heard: &Value) -> Option<String> {
    let (method, of) = (heard["method"].as_str()?, &heard["params"]);
    match method {
        "Runtime.exceptionThrown" => Some(of["exceptionDetails"].to_string()),
        "Log.entryAdded" if of["entry"]["level"] == "error" && of["entry"]["source"] != "network" => {
            Some(of["entry"].to_string())
        }
        _ => None,
    }
}

/// A window.
pub(crate) struct Window<'a> {
    browser: &'a Browser,
    session: String,
}

impl Window<'_> {
    /// Opens an address.
    #[track_caller]
    pub(crate) fn open(&self, address: &str) {
        let opened = self.tell("Page.navigate", json!({ "url": address }));
        assert_eq!(opened.get("errorText"), None, "{address}");
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(crate) fn wait_until(&self, expression: &str) {
        let begun = steady();
        while self.value(expression) != Ok(Value::Bool(true)) {
            if steady().saturating_sub(begun) > PATIENCE {
                let (last, shown) = (self.value(expression), self.value("document.body.innerText"));
                panic!("`{expression}` is {last:?}\n{shown:?}\n{:#?}", self.browser.complaints());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits until an element is there, and is not hidden.
    #[track_caller]
    pub(crate) fn wait_for(&self, selector: &str) {
        self.wait_until(&format!("!!{}?.checkVisibility()", element(selector)));
    }

    /// Presses an element with the mouse, and takes the mouse away.
    #[track_caller]
    pub(crate) fn press(&self, selector: &str) {
        self.wait_for(selector);
        let middle = format!(
            "(() => {{ const it = {}; it.scrollIntoView({{ block: 'center' }}); const {{ x, y, width, height }} =
               it.getBoundingClientRect(); return [x + width / 2, y + height / 2]; }})()",
            element(selector)
        );
        let at = self.value(&middle).unwrap();
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1 });
            self.tell("Input.dispatchMouseEvent", event);
        }
        self.tell("Input.dispatchMouseEvent", json!({ "type": "mouseMoved", "x": 0, "y": 0 }));
    }

    /// Writes into a field in place of what is there.
    #[track_caller]
    pub(crate) fn write(&self, selector: &str, text: &str) {
        self.wait_for(selector);
        self.value(&format!("{0}.focus(), {0}.select()", element(selector))).unwrap();
        match text {
            "" => drop(self.value("document.execCommand('delete')").unwrap()),
            text => drop(self.tell("Input.insertText", json!({ "text": text }))),
        }
    }

    /// Chooses a file in the dialog of a field.
    #[track_caller]
    pub(crate) fn choose(&self, selector: &str, file: &str) {
        let field = self.tell("Runtime.evaluate", json!({ "expression": element(selector) }));
        let id = &field["result"]["objectId"];
        self.tell("DOM.setFileInputFiles", json!({ "files": [file], "objectId": id }));
    }

    /// What the window shows, as PNG.
    pub(crate) fn picture(&self) -> Vec<u8> {
        let picture = self.tell("Page.captureScreenshot", json!({ "format": "png" }));
        BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }

    /// The value of an expression; an error where its page is just being left, or it has none.
    pub(crate) fn value(&self, expression: &str) -> Result<Value, String> {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut told = self.browser.pipe.borrow_mut().tell(Some(&self.session), "Runtime.evaluate", &parameters)?;
        match told.get("exceptionDetails") {
            Some(thrown) => Err(thrown.to_string()),
            None => Ok(told["result"]["value"].take()),
        }
    }

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "parameters are written where they are told")]
    fn tell(&self, method: &str, parameters: Value) -> Value {
        let told = self.browser.pipe.borrow_mut().tell(Some(&self.session), method, &parameters);
        told.unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The first element that a selector finds, as an expression.
fn element(selector: &str) -> String {
    format!("document.querySelector({})", json!(selector))
}
