//! Finding the servers of this machine, and asking each for its version. Start reading at [`discover`].

use std::path::{Path, PathBuf};

use model::cause::chain;

use super::answer::{ANSWER_TIMEOUT, AnswerError, Asked};
use super::{Installations, Program, Unusable};

/// Where servers are looked for: where packages put them, then the folders of the search path.
pub fn candidates(program: Program, search_path: &[PathBuf]) -> Vec<PathBuf> {
    let packaged = program.package_folders().iter().flat_map(|pattern| folders(pattern));
    let folders = packaged.chain(search_path.iter().cloned());
    let mut found: Vec<PathBuf> = folders
        .flat_map(|folder| program.file_names().iter().map(move |name| folder.join(name)))
        .filter(|path| path.is_file())
        .collect();
    // The same program by two ways (a link in /usr/bin) is one installation.
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|path| path.canonicalize().is_ok_and(|real| seen.insert(real)));
    found
}

/// The folders that a pattern with at most one `*` in one name stands for, in order; none of one that cannot be listed,
/// where nobody could run anything either.
fn folders(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![PathBuf::from(pattern)] };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let after = after.trim_start_matches('/');
    let mut found: Vec<PathBuf> = std::fs::read_dir(format!("{parent}/"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            name.strip_prefix(prefix).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit() || b == b'@'))
        })
        .map(|name| Path::new(parent).join(name).join(after))
        .collect();
    found.sort();
    found
}

/// Asks each candidate for its version, all at once. Runs programs and waits for them, at most a few seconds: not for an
/// async task's own thread.
pub fn discover(program: Program, candidates: &[PathBuf]) -> Installations {
    let mut found = Installations { program, usable: Vec::new(), unusable: Vec::new() };
    let deadline = sys::clock::now().steady.saturating_add(ANSWER_TIMEOUT);
    let asked: Vec<Result<Asked, AnswerError>> = candidates.iter().map(|server| Asked::start(server)).collect();
    for (server, asked) in candidates.iter().zip(asked) {
        let answer = asked.and_then(|asked| asked.answer(deadline)).map_err(|error| chain(&error));
        match answer.and_then(|text| program.installation(server, &text)) {
            Ok(installation) => found.usable.push(installation),
            Err(why) => found.unusable.push(Unusable { server: server.clone(), why }),
        }
    }
    found.usable.sort_by_key(|it| (it.product, std::cmp::Reverse(it.version)));
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::Pid;

    use super::*;
    use crate::installation::Version;

    /// How often a condition is looked at.
    const POLL: Duration = Duration::from_millis(10);

    #[test]
    fn this_machine_is_searched() {
        let found = candidates(Program::Postgres, &[]);
        for server in &found {
            assert_eq!(server.file_name().unwrap(), "postgres");
        }
        let discovered = discover(Program::Postgres, &found);
        assert_eq!(discovered.usable.len() + discovered.unusable.len(), found.len());
        let nothing = discover(Program::Postgres, &[PathBuf::from("/nowhere/postgres")]);
        assert_eq!(nothing.usable, []);
        assert_eq!(nothing.unusable[0].why, "it cannot be run: No such file or directory (os error 2)");
    }

    /// A server that is a script, in a folder of its own where it can note a process id.
    struct Script(PathBuf);

    impl Script {
        fn new(name: &str, text: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("mainstay-answer-{name}-{}", std::process::id()));
            std::fs::create_dir(&folder).unwrap();
            // Another process writes it: a test beside this one may be starting a program, which for a moment has all
            // of our files open, and what is open for writing cannot be run.
            let write =
                format!("printf '#!/bin/sh\\ncd {}\\n%s\\n' \"$0\" > server && chmod 755 server", folder.display());
            let written = std::process::Command::new("sh").args(["-c", &write, text]).current_dir(&folder).status();
            assert!(written.unwrap().success());
            Self(folder)
        }

        fn discover(&self) -> Installations {
            discover(Program::Postgres, &[self.0.join("server")])
        }

        /// Why it cannot be used, and how long it took to find out.
        fn unusable(&self) -> (String, Duration) {
            let before = sys::clock::now().steady;
            let found = self.discover();
            assert_eq!(found.usable, []);
            (found.unusable[0].why.clone(), sys::clock::now().steady - before)
        }

        /// Waits until the process that the script noted has ended.
        #[track_caller]
        fn wait_for_end(&self) {
            let pid = Pid(std::fs::read_to_string(self.0.join("pid")).unwrap().trim().parse().unwrap());
            let limit = sys::clock::now().steady + Duration::from_secs(20);
            while sys::process::look(pid).unwrap().is_some_and(|seen| !seen.zombie) {
                assert!(sys::clock::now().steady < limit, "process {pid} goes on");
                std::thread::sleep(POLL);
            }
        }
    }

    impl Drop for Script {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_server_that_does_not_answer_is_killed_and_said_to_hang() {
        let script = Script::new("hangs", "sleep 60 & echo $! > pid; echo 'postgres (PostgreSQL) 17.2'; wait");
        let (why, took) = script.unusable();
        assert_eq!(
            why,
            "`--version` did not end within 2s and was killed; run it by hand to see what it waits for, then mend or \
             remove the program"
        );
        assert!((ANSWER_TIMEOUT..Duration::from_secs(30)).contains(&took), "{took:?}");
        script.wait_for_end();
    }

    #[test]
    fn servers_that_hang_are_waited_for_together() {
        let script = Script::new("hang", "exec sleep 60");
        let before = sys::clock::now().steady;
        let found = discover(Program::Postgres, &vec![script.0.join("server"); 8]);
        let took = sys::clock::now().steady - before;
        assert_eq!(found.unusable.len(), 8);
        assert!(took < ANSWER_TIMEOUT * 4, "{took:?}");
    }

    #[test]
    fn a_server_that_does_not_stop_printing_is_killed_at_once() {
        let script = Script::new("prints", "echo $$ > pid; exec yes 'postgres (PostgreSQL) 17.2'");
        let (why, _) = script.unusable();
        assert_eq!(
            why,
            "`--version` printed more than 4KiB and was killed; a server prints one line: mend or remove the program"
        );
        script.wait_for_end();
    }

    #[test]
    fn what_a_server_leaves_behind_is_killed_and_not_waited_for() {
        let script = Script::new("leaves", "sleep 60 & echo $! > pid; echo 'postgres (PostgreSQL) 17.2'");
        let found = script.discover();
        assert_eq!(found.unusable, []);
        assert_eq!(found.usable[0].version, Version { major: 17, minor: 2 });
        script.wait_for_end();
    }

    #[test]
    fn a_server_that_fails_or_says_nothing_of_use_is_not_used() {
        let failing = Script::new("fails", "echo 'postgres (PostgreSQL) 17.2'; exit 3");
        assert_eq!(failing.unusable().0, "`--version` ended with exit status: 3");
        assert_eq!(Script::new("silent", "true").unusable().0, "`--version` printed no version");
        let old = Script::new("old", "echo 'postgres (PostgreSQL) 12.1'");
        assert_eq!(old.unusable().0, "version 12.1 is older than 13");
    }
}
