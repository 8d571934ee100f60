//! The reference of the command line (`docs/reference/cli.md`), made from the commands themselves.

use clap::CommandFactory;

use super::CommandLine;

/// The width of help texts in documents.
const WIDTH: usize = 80;

/// The whole page.
pub(crate) fn markdown() -> String {
    let mut text = String::from(
        "# Command line\n\n\
         Made from the program itself; a test keeps it in step.\n\n",
    );
    text.push_str("Every command takes the global options that stand under the first heading.\n\n");
    for (name, help) in helps() {
        text.push_str(&format!("## {name}\n\n```text\n{help}```\n\n"));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Each command with its help; the global options stand in the first alone.
pub(crate) fn helps() -> Vec<(String, String)> {
    let mut root = CommandLine::command().term_width(WIDTH);
    root.build();
    let mut helps = Vec::new();
    collect(&mut root, "", &mut helps);
    helps
}

fn collect(command: &mut clap::Command, above: &str, helps: &mut Vec<(String, String)>) {
    let name = format!("{above} {}", command.get_name()).trim_start().to_owned();
    let globals: Vec<clap::Id> =
        command.get_arguments().filter(|arg| arg.is_global_set()).map(|arg| arg.get_id().clone()).collect();
    let mut shown = command.clone();
    if !above.is_empty() {
        shown = globals.into_iter().fold(shown, |shown, id| shown.mut_arg(id, |arg| arg.hide(true)));
    }
    let help = shown.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    helps.push((name.clone(), format!("{}\n", lines.join("\n").trim_end())));
    for below in command.get_subcommands_mut() {
        collect(below, &name, helps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect_file;

    #[test]
    fn the_page_is_in_step() {
        expect_file!["../../../../docs/reference/cli.md"].assert_eq(&markdown());
    }

    #[test]
    fn the_api_document_is_in_step() {
        let document = serde_json::to_string_pretty(&crate::api::openapi::document()).unwrap();
        expect_file!["../../../../docs/reference/openapi.json"].assert_eq(&format!("{document}\n"));
    }

    #[test]
    fn every_command_says_what_it_does() {
        for (name, help) in helps() {
            assert!(!help.starts_with("Usage"), "{name} has no description");
            assert!(help.lines().all(|line| line.chars().count() <= WIDTH), "{name} is wider than {WIDTH}:\n{help}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        CommandLine::command().debug_assert();
    }
}
