//! Programs of the usual kinds, by the files they come with.

use std::collections::BTreeSet;

use super::{Listed, Listing, Pages, Program, cargo, dependency, name, pages, procfile};

/// Everything that can be started: what the folder itself says, and what its folders say.
pub(super) fn programs(listing: &Listing) -> Vec<Program> {
    if let Some(text) = listing.text("Procfile") {
        let manifests: Vec<&str> = listing.entries.values().filter_map(Listed::text).collect();
        let programs = procfile::programs(text, &manifests.join("\n"));
        if !programs.is_empty() {
            return programs;
        }
    }
    let mut programs = in_folder(listing, "");
    for folder in folders(listing) {
        for program in in_folder(listing, folder) {
            if !programs.iter().any(|known: &Program| known.name == program.name) {
                programs.push(program);
            }
        }
    }
    programs
}

/// The folders of pages that are served. A program of the whole folder's, or of a folder with pages, serves them itself.
pub(super) fn pages(listing: &Listing) -> Vec<Pages> {
    if is_program(listing) {
        return Vec::new();
    }
    let is_served = |folder: &&str| pages::may_be_served(listing, folder) && !holds_program(listing, folder);
    folders(listing).into_iter().filter(is_served).map(|folder| Place { listing, folder }.pages()).collect()
}

/// Whether the listing's own folder is a program's.
pub(super) fn is_program(listing: &Listing) -> bool {
    listing.text("Procfile").is_some() || holds_program(listing, "")
}

/// Whether a program was found in a folder.
pub(super) fn holds_program(listing: &Listing, folder: &str) -> bool {
    !in_folder(listing, folder).is_empty()
}

/// The folders directly in the listing's own.
fn folders(listing: &Listing) -> BTreeSet<&str> {
    listing.entries.keys().filter_map(|path| Some(path.split_once('/')?.0)).collect()
}

/// The programs of one of the kinds for each folder; the first that fits. Where tools write there are none.
fn in_folder(listing: &Listing, folder: &str) -> Vec<Program> {
    if pages::are_written_by_tools_in(folder) {
        return Vec::new();
    }
    let place = Place { listing, folder };
    place
        .rails()
        .or_else(|| place.django())
        .or_else(|| place.python())
        .or_else(|| place.node())
        .or_else(|| place.rust())
        .or_else(|| place.go())
        .or_else(|| place.dockerfile())
        .unwrap_or_default()
}

/// A command as `run` takes it: as it stands where that can be, else through a shell.
pub(super) fn started(command: &str) -> String {
    match crate::command::split(command) {
        Ok(_) => command.to_owned(),
        // With `exec` the shell becomes the program, and what asks it to stop reaches the program.
        Err(_) if !command.contains(['|', '&', ';', '\'', '(']) => format!("sh -c 'exec {command}'"),
        Err(_) => format!("sh -c {}", quoted(command)),
    }
}

/// A text as one word of a shell's.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[derive(Clone, Copy)]
struct Place<'l> {
    listing: &'l Listing,
    /// The folder within the listing's; empty for the listing's own.
    folder: &'l str,
}

impl<'l> Place<'l> {
    fn path(self, file: &str) -> String {
        if self.folder.is_empty() { file.to_owned() } else { format!("{}/{file}", self.folder) }
    }

    fn has(self, file: &str) -> bool {
        self.listing.has(&self.path(file))
    }

    fn text(self, file: &str) -> Option<&'l str> {
        self.listing.text(&self.path(file))
    }

    /// The folder's name where it has one, else the usual one.
    fn name(self, usual: &str) -> String {
        name(self.folder).unwrap_or_else(|| usual.to_owned())
    }

    /// A command that is started in this folder.
    fn run(self, command: &str) -> String {
        match self.folder {
            "" => started(command),
            folder => format!("sh -c {}", quoted(&format!("cd {} && exec {command}", plain_word(folder)))),
        }
    }

    fn program(self, usual: &str, file: &str, what: &str, command: &str, manifest: &str) -> Program {
        Program {
            name: self.name(usual),
            found: format!("`{}`: {what}", self.path(file)),
            run: self.run(command),
            listens: true,
            release: None,
            remarks: Vec::new(),
            database: dependency::database(manifest),
            redis: dependency::redis(manifest),
        }
    }

    fn rails(self) -> Option<Vec<Program>> {
        let gems = self.text("Gemfile")?;
        let database = dependency::mentions(gems, &["pg"]);
        let server = match dependency::mentions(gems, &["rails"]) {
            true => Program {
                release: database.then(|| self.run("bin/rails db:migrate")),
                ..self.program("web", "Gemfile", "a Rails program", "bin/rails server -b 127.0.0.1 -p \"$PORT\"", "")
            },
            false => {
                self.program("web", "Gemfile", "a Ruby program", "bundle exec rackup -o 127.0.0.1 -p \"$PORT\"", "")
            }
        };
        let redis = dependency::redis(gems);
        let mut programs = vec![Program { database, redis, ..server }];
        if dependency::mentions(gems, &["sidekiq"]) {
            let worker = self.program("worker", "Gemfile", "a Sidekiq worker", "bundle exec sidekiq", "");
            programs.push(Program { name: "worker".to_owned(), listens: false, database, redis, ..worker });
        }
        Some(programs)
    }

    fn python_manifest(self) -> Option<(&'static str, &'l str)> {
        ["pyproject.toml", "requirements.txt"].into_iter().find_map(|file| Some((file, self.text(file)?)))
    }

    fn django(self) -> Option<Vec<Program>> {
        if !self.has("manage.py") {
            return None;
        }
        let manifest = self.python_manifest().map_or("", |(_, text)| text);
        let command = "python3 manage.py runserver --noreload \"127.0.0.1:$PORT\"";
        let mut program = self.program("web", "manage.py", "a Django program", command, manifest);
        program.release = Some(self.run("python3 manage.py migrate"));
        program
            .remarks
            .push("Django's own server is for development: in production run gunicorn or uvicorn.".to_owned());
        let worker = dependency::mentions(manifest, &["celery"]).then(|| {
            let command = "python3 -m celery --app config worker";
            let found = self.program("worker", "manage.py", "a Celery worker", command, manifest);
            let remarks = vec!["Put the module that holds the Celery app after `--app`.".to_owned()];
            Program { name: "worker".to_owned(), listens: false, remarks, ..found }
        });
        Some(std::iter::once(program).chain(worker).collect())
    }

    fn python(self) -> Option<Vec<Program>> {
        let (file, manifest) = self.python_manifest()?;
        let module = ["main", "app", "server"].into_iter().find(|module| self.has(&format!("{module}.py")));
        let module = module.unwrap_or("main");
        let mentions = |library: &str| dependency::mentions(manifest, &[library]);
        let (what, command) = if mentions("fastapi") || mentions("uvicorn") || mentions("starlette") {
            ("an ASGI program", format!("python3 -m uvicorn {module}:app --host 127.0.0.1 --port \"$PORT\""))
        } else if mentions("flask") || mentions("Flask") {
            ("a Flask program", format!("python3 -m flask --app {module} run --port \"$PORT\""))
        } else {
            ("a Python program", format!("python3 {module}.py"))
        };
        let mut program = self.program("web", file, what, &command, manifest);
        if !self.has(&format!("{module}.py")) {
            program.remarks.push(format!("No {module}.py was found here: put the module's name right."));
        }
        if mentions("alembic") {
            program.release = Some(self.run("python3 -m alembic upgrade head"));
        }
        Some(vec![program])
    }

    fn node(self) -> Option<Vec<Program>> {
        let text = self.text("package.json")?;
        // One that npm could not read either is no program's.
        let package: serde_json::Value = serde_json::from_str(text).ok()?;
        let script = |name: &str| package["scripts"][name].is_string();
        let (command, remark) = if script("start") {
            ("npm start", None)
        } else if script("preview") {
            (
                "npm run preview",
                Some("Pages built by a bundler: `static:` with the folder it builds serves them without a process."),
            )
        } else if script("dev") {
            ("npm run dev", Some("package.json has no `start` script: this is its development server."))
        } else {
            ("node index.js", Some("package.json has no `start` script: put the command right."))
        };
        let mut libraries = String::new();
        for kind in ["dependencies", "devDependencies"] {
            for library in package[kind].as_object().into_iter().flat_map(|found| found.keys()) {
                libraries.push_str(library);
                libraries.push('\n');
            }
        }
        let mut program = self.program("web", "package.json", "a Node.js program", command, &libraries);
        program.remarks.extend(remark.map(str::to_owned));
        if self.has("prisma/schema.prisma") || dependency::mentions(&libraries, &["prisma", "@prisma/client"]) {
            program.release = Some(self.run("npx prisma migrate deploy"));
        }
        Some(vec![program])
    }

    fn rust(self) -> Option<Vec<Program>> {
        let text = self.text("Cargo.toml")?;
        let package = cargo::package(text).filter(|_| self.has("src/main.rs"))?;
        let is_member = !self.folder.is_empty() && self.listing.text("Cargo.toml").is_some_and(cargo::is_workspace);
        let command = format!("{}target/release/{package}", if is_member { "../" } else { "" });
        let usual = name(package).unwrap_or_else(|| "web".to_owned());
        let program = self.program(&usual, "Cargo.toml", "a Rust program", &command, text);
        let named = match self.folder {
            "" => String::new(),
            _ => format!(" --manifest-path {}", plain_word(&self.path("Cargo.toml"))),
        };
        let remarks = vec![format!("Built beforehand: cargo build --release{named}")];
        Some(vec![Program { name: usual, remarks, ..program }])
    }

    fn go(self) -> Option<Vec<Program>> {
        let manifest = self.text("go.mod")?;
        let module = manifest.lines().find_map(|line| line.strip_prefix("module "))?;
        let program_name = module.trim().rsplit('/').next().and_then(name)?;
        let command = format!("bin/{program_name}");
        let mut program = self.program(&program_name, "go.mod", "a Go program", &command, manifest);
        program.remarks.push(format!("Built beforehand: go build -o bin/{program_name} ."));
        Some(vec![program])
    }

    /// The command of an image that is described here, as a process.
    fn dockerfile(self) -> Option<Vec<Program>> {
        let text = self.text("Dockerfile")?;
        let instruction =
            |name: &str| text.lines().rev().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
        let words = |given: &str| match serde_json::from_str::<Vec<String>>(given) {
            Ok(words) => words.iter().map(|word| plain_word(word)).collect::<Vec<_>>().join(" "),
            Err(_) => given.to_owned(),
        };
        let parts: Vec<String> = ["ENTRYPOINT ", "CMD "].into_iter().filter_map(instruction).map(words).collect();
        let command = parts.join(" ");
        let ends_midway = command.ends_with('\\') || command.contains("<<");
        let command = if command.trim().is_empty() || ends_midway { "bin/server".to_owned() } else { command };
        let mut program = self.program("web", "Dockerfile", "a container image", &command, text);
        program.remarks.push("Containers are not supported yet: this is the image's command as a process.".to_owned());
        Some(vec![program])
    }

    fn pages(self) -> Pages {
        Pages { name: self.name("web"), folder: self.folder.to_owned() }
    }
}

/// A word as a command line writes it.
fn plain_word(word: &str) -> String {
    let plain = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c));
    if plain { word.to_owned() } else { quoted(word) }
}
