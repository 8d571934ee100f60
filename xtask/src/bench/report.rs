//! The page: what was measured, as a page of Markdown. Decides nothing else.

use std::fmt;

use super::memory::Memory;
use super::{peers, stack};

const COLD_BUILD: &str = "| Release build from nothing | ";

/// Everything that the page shows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Report {
    /// On what it was measured.
    pub(super) machine: String,
    pub(super) binary_bytes: u64,
    /// Absent when it was never measured.
    pub(super) cold_build_seconds: Option<f64>,
    pub(super) stack: stack::Figures,
    pub(super) supervisors: Vec<peers::Supervisor>,
}

/// The cold build's figure in an earlier page.
pub(super) fn cold_build_of(page: &str) -> Option<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(COLD_BUILD))?;
    line.split(' ').next()?.parse().ok()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Benchmarks\n")?;
        writeln!(f, "Written by `make bench`; not edited by hand. Measured on:\n\n{}.\n", self.machine)?;
        self.write_stack(f)?;
        self.write_memory(f)?;
        self.write_supervisors(f)
    }
}

impl Report {
    fn write_stack(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## The example\n")?;
        writeln!(
            f,
            "`examples/directory`: a frontend, two replicas of an API, a worker, PostgreSQL, Redis, an object store and"
        )?;
        writeln!(f, "the edge. Each time is from `up` to the first good page, over TLS.\n")?;
        writeln!(f, "| | |\n| --- | --- |")?;
        writeln!(f, "| First `up`: 20 companies of 500 people are created | {:.2} s |", self.stack.cold_up_seconds)?;
        writeln!(f, "| `up` again, with the data there | {:.2} s |", self.stack.warm_up_seconds)?;
        writeln!(f, "| `down` | {:.2} s |", self.stack.down_seconds)?;
        writeln!(f, "| The program's size | {:.1} MiB |", mib(self.binary_bytes))?;
        match self.cold_build_seconds {
            Some(seconds) => writeln!(f, "{COLD_BUILD}{seconds:.0} s |\n"),
            None => writeln!(f, "{COLD_BUILD}not measured: `cargo xtask bench --cold-build` |\n"),
        }
    }

    fn write_memory(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: Memory = self.stack.processes.iter().map(|(_, memory)| *memory).sum();
        writeln!(f, "## Memory of the platform's own processes\n")?;
        writeln!(f, "With the example running and idle. RSS counts a page in every process that maps it; PSS divides")?;
        writeln!(
            f,
            "shared pages among them, so only its sum is a sum; own are the pages that nobody else has, which is"
        )?;
        writeln!(f, "what one more such process costs.\n")?;
        writeln!(f, "| process | RSS | PSS | own |\n| --- | ---: | ---: | ---: |")?;
        for (name, memory) in &self.stack.processes {
            writeln!(f, "| {name} | {} |", columns(*memory))?;
        }
        writeln!(f, "| together | {} |\n", columns(total))
    }

    fn write_supervisors(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## Beside other supervisors\n")?;
        writeln!(
            f,
            "Ten children that sleep, their output captured. Restart is from `kill -9` of a child to the first"
        )?;
        writeln!(
            f,
            "line of its successor. What Mainstay's memory pays for besides: the control API, the journal, the"
        )?;
        writeln!(f, "vault, and children that outlive the node.\n")?;
        writeln!(f, "| | processes | RSS | PSS | own | restart |\n| --- | ---: | ---: | ---: | ---: | ---: |")?;
        for supervisor in &self.supervisors {
            match &supervisor.figures {
                None => writeln!(f, "| {} | not installed here | | | | |", supervisor.name)?,
                Some(figures) => writeln!(
                    f,
                    "| {} | {} | {} | {:.0} ms |",
                    supervisor.name,
                    figures.processes,
                    columns(figures.memory),
                    figures.restart_seconds * 1000.0,
                )?,
            }
        }
        Ok(())
    }
}

fn columns(memory: Memory) -> String {
    format!("{} | {} | {}", kib(memory.rss_kib), kib(memory.pss_kib), kib(memory.own_kib))
}

fn kib(kib: u64) -> String {
    match kib {
        0..1024 => format!("{kib} KiB"),
        _ => format!("{:.1} MiB", mib(kib * 1024)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a size for people, with one digit after the point")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{Report, cold_build_of};
    use crate::bench::memory::Memory;
    use crate::bench::{peers, stack};

    fn report(cold_build_seconds: Option<f64>) -> String {
        let memory = |rss_kib, pss_kib| Memory { rss_kib, pss_kib, own_kib: pss_kib / 2 };
        let report = Report {
            machine: "A machine, 2 cores".to_owned(),
            binary_bytes: 20 << 20,
            cold_build_seconds,
            stack: stack::Figures {
                cold_up_seconds: 3.456,
                warm_up_seconds: 1.0,
                down_seconds: 0.5,
                processes: vec![
                    ("node".to_owned(), memory(12_000, 11_000)),
                    ("shim of db".to_owned(), memory(900, 300)),
                ],
            },
            supervisors: vec![
                peers::Supervisor {
                    name: "Mainstay".to_owned(),
                    figures: Some(peers::Figures {
                        processes: 11,
                        memory: memory(20_000, 9_000),
                        restart_seconds: 0.0123,
                    }),
                },
                peers::Supervisor { name: "other".to_owned(), figures: None },
            ],
        };
        report.to_string()
    }

    #[test]
    fn the_page_shows_every_figure() {
        expect![[r#"
            # Benchmarks

            Written by `make bench`; not edited by hand. Measured on:

            A machine, 2 cores.

            ## The example

            `examples/directory`: a frontend, two replicas of an API, a worker, PostgreSQL, Redis, an object store and
            the edge. Each time is from `up` to the first good page, over TLS.

            | | |
            | --- | --- |
            | First `up`: 20 companies of 500 people are created | 3.46 s |
            | `up` again, with the data there | 1.00 s |
            | `down` | 0.50 s |
            | The program's size | 20.0 MiB |
            | Release build from nothing | 240 s |

            ## Memory of the platform's own processes

            With the example running and idle. RSS counts a page in every process that maps it; PSS divides
            shared pages among them, so only its sum is a sum; own are the pages that nobody else has, which is
            what one more such process costs.

            | process | RSS | PSS | own |
            | --- | ---: | ---: | ---: |
            | node | 11.7 MiB | 10.7 MiB | 5.4 MiB |
            | shim of db | 900 KiB | 300 KiB | 150 KiB |
            | together | 12.6 MiB | 11.0 MiB | 5.5 MiB |

            ## Beside other supervisors

            Ten children that sleep, their output captured. Restart is from `kill -9` of a child to the first
            line of its successor. What Mainstay's memory pays for besides: the control API, the journal, the
            vault, and children that outlive the node.

            | | processes | RSS | PSS | own | restart |
            | --- | ---: | ---: | ---: | ---: | ---: |
            | Mainstay | 11 | 19.5 MiB | 8.8 MiB | 4.4 MiB | 12 ms |
            | other | not installed here | | | | |
        "#]]
        .assert_eq(&report(Some(240.4)));
    }

    #[test]
    fn an_earlier_figure_of_the_cold_build_is_kept() {
        assert_eq!(cold_build_of(&report(Some(240.4))), Some(240.0));
        assert_eq!(cold_build_of(&report(None)), None);
    }
}
