//! `directory admin EMAIL`: makes somebody a super admin, or gives a super admin another password.
//!
//! The password is asked for on a terminal, or is the first line of what is piped in: never an argument, which others
//! could read.

use std::io::{BufRead, BufReader, IsTerminal, Read, Stdin};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::cache::attempts::{self, Tried};
use crate::cache::{self, sessions};
use crate::database::{Database, super_admins};
use crate::password::Passwords;
use crate::viewer::Account;
use crate::{Failure, settings, validation};

/// How much is read for a password, in bytes; more than the longest one has.
const LINE_MAX: u64 = 1024;

/// Asks for a password and gives it to the super admin of this address. The sessions they had end.
pub(crate) async fn run(email: &str) -> Result<(), Failure> {
    let email = validation::email(email).map_err(|wanted| Failure::Argument { name: "EMAIL", wanted })?;
    let (_, cache) = cache::open(&settings::cache_url()?)?;
    let database = Database::new(&settings::db_url()?)?;
    let password = read_password(&std::io::stdin()).map_err(Failure::ReadPassword)?;
    validation::password(&password).map_err(|wanted| Failure::Argument { name: "the password", wanted })?;
    let hash = Passwords::new().await?.hash(password).await?;
    let id = super_admins::appoint(&database.connection().await?, &email, &hash).await?;
    sessions::end_all(&cache, &Account::SuperAdmin(id)).await?;
    attempts::forget(&cache, Tried::SuperAdmin(&email)).await?;
    println!("{email} is a super admin and logs in with this password at any company's host");
    Ok(())
}

fn read_password(input: &Stdin) -> std::io::Result<String> {
    if !input.is_terminal() {
        return read_line(input);
    }
    eprint!("Password for a super admin: ");
    let silence = Silence::begin(input)?;
    let line = read_line(input);
    drop(silence);
    eprintln!();
    line
}

fn read_line(input: &Stdin) -> std::io::Result<String> {
    let mut line = String::new();
    BufReader::new(input.lock().take(LINE_MAX)).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// A terminal that does not show what is typed, for as long as this is held.
struct Silence<'a> {
    terminal: &'a Stdin,
    before: Termios,
}

impl<'a> Silence<'a> {
    fn begin(terminal: &'a Stdin) -> std::io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // Fails when the terminal is gone; then there is nothing to put back.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}
