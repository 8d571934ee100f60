//! `mainstay man`: the manual pages, one per command.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory;

use super::failure::Failure;
use super::session::Session;

/// Writes the manual pages into a folder
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder, made when absent.
    folder: PathBuf,
}

/// Writes one file per command.
pub(crate) fn run(arguments: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let folder = session.folder().join(&arguments.folder);
    let failed = |error: std::io::Error| Failure::doing(format!("cannot write into {}", folder.display()), &error);
    std::fs::create_dir_all(&folder).map_err(failed)?;
    clap_mangen::generate_to(super::CommandLine::command(), &folder).map_err(failed)?;
    session.terminal.note(&format!("the manual pages are in {}", folder.display()));
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_run_says_where_the_command_begins() {
        let mut line = crate::commands::CommandLine::command();
        line.build();
        let run = line.find_subcommand("run").unwrap().clone();
        let mut page = Vec::new();
        clap_mangen::Man::new(run).render_synopsis_section(&mut page).unwrap();
        let page = String::from_utf8(page).unwrap().replace('\\', "");
        assert!(page.contains("<SERVICE> -- <COMMAND>"), "{page}");
    }
}
