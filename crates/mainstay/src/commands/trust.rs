//! `mainstay trust`: the stack's local authority, and how clients come to trust it.
//!
//! What is trusted is a file in the system's own store, named for the state directory, so that it can be taken out again
//! when that directory is gone.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use model::host::UNOWNED_DOMAINS;

use super::failure::Failure;
use super::session::Session;

/// Says how clients come to trust the certificates of `tls: local`
///
/// The authority that makes them is the stack's own. It certifies names that nobody can own (under localhost, test,
/// internal, local and home.arpa) and nothing else, and its key stays in the vault.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Puts it into the store of this system, which most programs use; takes root.
    #[arg(long, conflicts_with = "remove")]
    install: bool,
    /// Takes it out of that store again; takes root.
    #[arg(long)]
    remove: bool,
}

/// Everybody may read what is trusted.
const STORED_MODE: u32 = 0o644;

/// Where a family of systems looks for what is trusted besides its own, and what makes it look.
#[derive(Debug)]
struct SystemStore {
    folder: &'static str,
    after_adding: &'static [&'static str],
    after_removing: &'static [&'static str],
}

const SYSTEM_STORES: [SystemStore; 2] = [
    // Debian and Ubuntu.
    SystemStore {
        folder: "/usr/local/share/ca-certificates",
        after_adding: &["update-ca-certificates"],
        after_removing: &["update-ca-certificates", "--fresh"],
    },
    // Fedora and what is made from it.
    SystemStore {
        folder: "/etc/pki/ca-trust/source/anchors",
        after_adding: &["update-ca-trust"],
        after_removing: &["update-ca-trust"],
    },
];

/// What there is to trust, for programs.
#[derive(serde::Serialize)]
struct Report<'a> {
    /// The authority's certificate.
    certificate: &'a Path,
    /// Where this system's store has a copy of it.
    installed: Option<&'a Path>,
}

/// Says it, or does it.
pub(crate) fn run(arguments: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let layout = session.layout()?;
    let name = format!("mainstay-{}.crt", layout.tag());
    if arguments.remove {
        remove(&name, session)?;
        return Ok(ExitCode::SUCCESS);
    }
    let certificate = layout.authority();
    let Some(bytes) = sys::files::read(&certificate).map_err(|error| Failure::of(&error))? else {
        return Err(Failure::new(format!("there is no local authority yet: {} is not there", certificate.display()))
            .with_hint("`mainstay up` makes it where the file has `edge.listen.https`"));
    };
    if arguments.install {
        install(&name, &bytes, session)?;
        return Ok(ExitCode::SUCCESS);
    }
    let installed = SYSTEM_STORES.iter().map(|store| store.path(&name)).find(|path| path.exists());
    match session.terminal.is_json() {
        true => session.terminal.print_json(&Report { certificate: &certificate, installed: installed.as_deref() })?,
        false => session.terminal.print(&instructions(&certificate, installed.as_deref()))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn install(name: &str, certificate: &[u8], session: &Session) -> Result<(), Failure> {
    let store = SystemStore::of_this_system(session)?;
    let path = store.path(name);
    let cannot = |error: &dyn std::error::Error| Failure::doing(format!("cannot write {}", path.display()), error);
    sys::files::replace(&path, certificate).map_err(|error| cannot(&error))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(STORED_MODE)).map_err(|error| cannot(&error))?;
    refresh(store.after_adding)?;
    session
        .terminal
        .note(&format!("this system trusts {}; programs that run already may need a restart", path.display()));
    Ok(())
}

fn remove(name: &str, session: &Session) -> Result<(), Failure> {
    let store = SystemStore::of_this_system(session)?;
    let path = store.path(name);
    if !path.exists() {
        session.terminal.note(&format!("{} is not there: this system does not trust it", path.display()));
        return Ok(());
    }
    sys::files::remove(&path).map_err(|error| Failure::of(&error))?;
    refresh(store.after_removing)?;
    session.terminal.note("this system does not trust it any more");
    Ok(())
}

impl SystemStore {
    fn of_this_system(session: &Session) -> Result<&'static Self, Failure> {
        if !session.around.root {
            return Err(Failure::new("only root may change what this system trusts")
                .with_hint("say it with sudo; `mainstay trust` says what can be done without"));
        }
        let found = SYSTEM_STORES.iter().find(|store| Path::new(store.folder).is_dir());
        let folders: Vec<&str> = SYSTEM_STORES.iter().map(|store| store.folder).collect();
        found.ok_or_else(|| {
            Failure::new(format!("this system has none of {}", folders.join(" and ")))
                .with_hint("install its package ca-certificates, or do as `mainstay trust` says for one program")
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder).join(name)
    }
}

/// Has the system look into its store.
fn refresh(command: &[&str]) -> Result<(), Failure> {
    let line = command.join(" ");
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let ran = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| Failure::doing(format!("cannot run `{line}`"), &error))?;
    match ran.status.success() {
        true => Ok(()),
        false => Err(Failure {
            problems: vec![String::from_utf8_lossy(&ran.stderr).trim().to_owned()],
            ..Failure::new(format!("`{line}` failed ({})", ran.status))
        }),
    }
}

fn instructions(certificate: &Path, installed: Option<&Path>) -> String {
    let path = certificate.display();
    let system = match installed {
        Some(installed) => format!("trusts it already ({}); `--remove` takes it back", installed.display()),
        None => "sudo mainstay trust --install".to_owned(),
    };
    format!(
        "The authority behind `tls: local` is this stack's own. It certifies names under\n\
         {domains}, and no others. Its certificate:\n\
         \n  {path}\n\n\
         this system  {system}\n\
         Firefox      Settings, Certificates, View Certificates, Authorities, Import\n\
         Chromium     mkdir -p $HOME/.pki/nssdb && certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n mainstay -i {path}\n\
         macOS        sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {path}\n\
         Windows      certutil -addstore -f Root {path}\n\
         curl         curl --cacert {path} URL\n\
         Node.js      NODE_EXTRA_CA_CERTS={path}\n",
        domains = UNOWNED_DOMAINS.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn what_clients_need_is_said() {
        let said = instructions(Path::new("/srv/shop/.mainstay/authority.pem"), None);
        expect![[r#"
            The authority behind `tls: local` is this stack's own. It certifies names under
            localhost, test, internal, local, home.arpa, and no others. Its certificate:

              /srv/shop/.mainstay/authority.pem

            this system  sudo mainstay trust --install
            Firefox      Settings, Certificates, View Certificates, Authorities, Import
            Chromium     mkdir -p $HOME/.pki/nssdb && certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n mainstay -i /srv/shop/.mainstay/authority.pem
            macOS        sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain /srv/shop/.mainstay/authority.pem
            Windows      certutil -addstore -f Root /srv/shop/.mainstay/authority.pem
            curl         curl --cacert /srv/shop/.mainstay/authority.pem URL
            Node.js      NODE_EXTRA_CA_CERTS=/srv/shop/.mainstay/authority.pem
        "#]]
        .assert_eq(&said);
    }
}
