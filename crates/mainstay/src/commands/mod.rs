//! The command line: one file per command, each an argument struct whose comments are the help, then one
//! function. Start reading at [`Command`].
//!
//! A command reads its arguments and files, asks the node, and prints. It decides nothing about the stack.

mod check;
mod completions;
mod down;
mod events;
mod explain;
mod init;
mod instance;
mod listing;
mod logs;
mod man;
mod node;
mod plan;
mod restart;
mod run;
mod schema;
mod secret;
mod secret_access;
mod status;
mod trust;
mod up;

pub(crate) mod failure;
#[cfg(test)]
mod reference;
pub(crate) mod session;
pub(crate) mod wait;

use std::path::PathBuf;
use std::process::ExitCode;

use model::EnvironmentName;

use crate::terminal::{Colour, Format};
use failure::Failure;
use session::Session;

/// Runs the whole infrastructure of a web product from one file, and keeps it running.
#[derive(Debug, clap::Parser)]
#[command(
    name = "mainstay",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = EXIT_CODES
)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The exit codes, for the help.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused or failed; the reason is on standard error
  2  the command line cannot be understood
  3  not everything is ready: within the time given, or for `status` now
  4  no node runs for this stack
  5  another process has the state directory
`mainstay run` ends with the exit code of the command it ran.";

/// What every command understands.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Globals {
    /// The stack file; the nearest mainstay.yaml from the current folder upwards when absent.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "MAINSTAY_FILE",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub(crate) file: Option<PathBuf>,
    /// The environment of the file; development when absent.
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "MAINSTAY_ENV",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub(crate) env: Option<EnvironmentName>,
    /// The state directory; .mainstay beside the stack file when absent.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "MAINSTAY_STATE",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub(crate) state: Option<PathBuf>,
    /// The vault's key file; outside the state directory when absent.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "MAINSTAY_KEY_FILE",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub(crate) key_file: Option<PathBuf>,
    /// How data is printed.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Global options")]
    pub(crate) output: Format,
    /// When colour is used; NO_COLOR and TERM=dumb are heeded.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", help_heading = "Global options")]
    pub(crate) color: Colour,
}

/// The commands, in the order in which a newcomer meets them.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Init(init::Arguments),
    Check(check::Arguments),
    Plan(plan::Arguments),
    Up(up::Arguments),
    Status(status::Arguments),
    Logs(logs::Arguments),
    Run(run::Arguments),
    Restart(restart::Arguments),
    Secret(secret::Arguments),
    Trust(trust::Arguments),
    Events(events::Arguments),
    Explain(explain::Arguments),
    Down(down::Arguments),
    Schema(schema::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
    Node(node::Arguments),
}

impl Command {
    /// Whether it says or does something about what a state directory holds, and not about the file.
    fn is_about_what_is_applied(&self) -> bool {
        match self {
            Command::Status(_)
            | Command::Logs(_)
            | Command::Run(_)
            | Command::Restart(_)
            | Command::Secret(_)
            | Command::Events(_)
            | Command::Trust(_)
            | Command::Explain(_)
            | Command::Down(_) => true,
            Command::Init(_)
            | Command::Check(_)
            | Command::Plan(_)
            | Command::Up(_)
            | Command::Schema(_)
            | Command::Completions(_)
            | Command::Man(_)
            | Command::Node(_) => false,
        }
    }

    /// Carries the command out.
    pub(crate) async fn run(self, session: &Session) -> Result<ExitCode, Failure> {
        if self.is_about_what_is_applied() {
            instance::refuse_another(session).await?;
        }
        match self {
            Command::Init(arguments) => init::run(&arguments, session),
            Command::Check(arguments) => check::run(&arguments, session),
            Command::Plan(arguments) => plan::run(&arguments, session).await,
            Command::Up(arguments) => up::run(&arguments, session).await,
            Command::Status(arguments) => status::run(&arguments, session).await,
            Command::Logs(arguments) => logs::run(&arguments, session).await,
            Command::Run(arguments) => run::run(&arguments, session).await,
            Command::Restart(arguments) => restart::run(&arguments, session).await,
            Command::Secret(arguments) => secret::run(arguments, session).await,
            Command::Trust(arguments) => trust::run(&arguments, session),
            Command::Events(arguments) => events::run(&arguments, session).await,
            Command::Explain(arguments) => explain::run(&arguments, session).await,
            Command::Down(arguments) => down::run(&arguments, session).await,
            Command::Schema(arguments) => schema::run(&arguments, session),
            Command::Completions(arguments) => completions::run(&arguments, session),
            Command::Man(arguments) => man::run(&arguments, session),
            Command::Node(arguments) => node::run(&arguments, session).await,
        }
    }
}
