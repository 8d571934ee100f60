//! The page about the edge. Start reading at the first `impl` of [`Report`].

use std::fmt;
use std::time::Duration;

use super::hostile::{Attack, Endured};
use super::load::Load;
use super::work::Work;

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measured {
    pub(super) gateway: &'static str,
    pub(super) work: Work,
    /// What the gateway used.
    pub(super) processor_seconds: f64,
    /// What anything besides gateway, origin and load used, in cores.
    pub(super) foreign_cores: f64,
    /// Its largest resident set.
    pub(super) peak_kib: u64,
    pub(super) load: Load,
}

impl Measured {
    fn processor_per_100k(&self) -> f64 {
        self.processor_seconds * 100_000.0 / self.load.requests.max(1.0)
    }
}

/// Everything that was measured.
pub(super) struct Report {
    pub(super) machine: String,
    pub(super) versions: Vec<String>,
    pub(super) rounds: usize,
    pub(super) measured: Vec<Measured>,
    pub(super) endured: Vec<Endured>,
}

/// Gateways in the order of the columns; the first is ours.
const GATEWAYS: [&str; 3] = ["Mainstay", "nginx", "HAProxy"];

impl Report {
    /// The median of a figure over the rounds; none where that gateway was not measured.
    fn median(&self, gateway: &str, work: Work, figure: impl Fn(&Measured) -> f64) -> Option<f64> {
        let runs = self.measured.iter().filter(|run| run.gateway == gateway && run.work == work);
        let mut all: Vec<f64> = runs.map(figure).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied()
    }

    /// Ours, and ours divided by the least of the peers'.
    fn ratio(&self, work: Work, figure: impl Fn(&Measured) -> f64 + Copy) -> Option<f64> {
        let peers = GATEWAYS[1..].iter().filter_map(|gateway| self.median(gateway, work, figure));
        Some(self.median(GATEWAYS[0], work, figure)? / peers.reduce(f64::min)?)
    }

    fn table(
        &self,
        f: &mut fmt::Formatter<'_>,
        title: &str,
        digits: usize,
        figure: impl Fn(&Measured) -> f64 + Copy,
    ) -> fmt::Result {
        writeln!(f, "\n## {title}\n\n| work | Mainstay | nginx | HAProxy | ratio to the better peer |")?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: |")?;
        for work in Work::ALL {
            let cell = |gateway: &str| match self.median(gateway, work, figure) {
                Some(figure) => format!("{figure:.digits$}"),
                None => "serves no files".to_owned(),
            };
            let ratio = self.ratio(work, figure).map_or("none".to_owned(), |ratio| format!("{ratio:.2}"));
            let cells: Vec<String> = GATEWAYS.iter().map(|gateway| cell(gateway)).collect();
            writeln!(f, "| {} | {} | {ratio} |", work.name(), cells.join(" | "))?;
        }
        Ok(())
    }

    /// What slow and idle clients cost, and whom.
    fn hostile(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n## Slow and idle clients\n")?;
        writeln!(
            f,
            "Idle ones have had one answer. Slow ones are slow from the first byte on, and those that read slowly ask"
        )?;
        writeln!(
            f,
            "for 1 MiB with a receive buffer of 1 KiB. Meanwhile four others ask for 1 KiB, together 200 times a second"
        )?;
        writeln!(
            f,
            "and over the same wire; their time counts from when a request was due. Resident memory is that of the"
        )?;
        writeln!(
            f,
            "gateway's processes before the clients came, at most while they were there, and a second after they had"
        )?;
        writeln!(
            f,
            "gone; buffers of the system are not in it. Time limits of the gateways are alike, but neither nginx nor"
        )?;
        writeln!(f, "HAProxy has a least rate for bodies.\n")?;
        write!(
            f,
            "| clients | what they do | gateway | before, MiB | at most | after | p99 of others, ms | failed | ended by the "
        )?;
        writeln!(f, "gateway | after, s |\n| ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")?;
        Attack::ALL.into_iter().try_for_each(|attack| {
            let mut runs = self.endured.iter().filter(|endured| endured.attack == attack);
            runs.try_for_each(|endured| writeln!(f, "{endured}"))
        })
    }

    /// Each goal, and whether it was met.
    fn goals(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n## Goals\n\n| work | processor time, ratio to the better peer | goal | |")?;
        writeln!(f, "| --- | ---: | ---: | --- |")?;
        for work in Work::ALL {
            if let (Some(goal), Some(ratio)) = (work.goal(), self.ratio(work, Measured::processor_per_100k)) {
                let verdict = if ratio <= goal { "met" } else { "missed" };
                writeln!(f, "| {} | {ratio:.2} | {goal:.2} | {verdict} |", work.name())?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Benchmarks of the edge\n\nWritten by `make bench-edge`; not edited by hand. Measured on:\n")?;
        writeln!(f, "{}.\n\nCompared: {}.\n", self.machine, self.versions.join("; "))?;
        writeln!(
            f,
            "Rounds: {}; medians count, and the order turns with each. Every gateway has one worker on the first",
            self.rounds
        )?;
        writeln!(
            f,
            "core, with an access log, timeouts, the strict security headers and a rate limit that never strikes;"
        )?;
        writeln!(
            f,
            "load generator and origin have the second core. Processor time and memory of ours include the shim"
        )?;
        writeln!(f, "that writes its log. A difference below 5 % is noise.")?;
        self.table(f, "Processor time, seconds per 100,000 requests", 2, Measured::processor_per_100k)?;
        self.goals(f)?;
        self.table(f, "Requests per second", 0, |run| run.load.requests_per_second())?;
        self.table(f, "Half of the requests are answered within, ms", 2, |run| run.load.p50_ms)?;
        self.table(f, "99 of 100 are answered within, ms", 2, |run| run.load.p99_ms)?;
        self.table(f, "Largest resident memory, MiB", 1, |run| megabytes(run.peak_kib))?;
        self.hostile(f)?;
        let failed: f64 = self.measured.iter().map(|run| run.load.failed).sum();
        let disturbed = self.measured.iter().map(|run| run.foreign_cores).fold(0.0, f64::max);
        writeln!(
            f,
            "\nFailed requests in all runs: {failed:.0}. Most that anything else used during a run: {disturbed:.2} cores."
        )
    }
}

/// A row of the table.
impl fmt::Display for Endured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, most, after] = self.resident_kib.map(megabytes);
        write!(f, "| {} | {} | {} | ", self.clients, self.attack.name(), self.gateway)?;
        write!(f, "{before:.1} | {most:.1} | {after:.1} | {:.2} | {} | ", self.others.p99_ms, self.others.failed)?;
        write!(f, "{} | {} |", self.ended.len(), span(&self.ended).unwrap_or_default())
    }
}

/// From the shortest to the longest, in seconds.
fn span(times: &[Duration]) -> Option<String> {
    let (first, last) = (times.iter().min()?, times.iter().max()?);
    Some(format!("{:.1} to {:.1}", first.as_secs_f64(), last.as_secs_f64()))
}

#[expect(clippy::cast_precision_loss, reason = "a size for people, with one digit after the point")]
fn megabytes(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Attack, Endured, Load, Measured, Report, Work};
    use crate::bench::edge::hostile::Others;

    fn run(gateway: &'static str, work: Work, processor_seconds: f64) -> Measured {
        let load = Load { requests: 100_000.0, seconds: 2.0, p50_ms: 0.5, p99_ms: 2.0, failed: 0.0 };
        Measured { gateway, work, processor_seconds, foreign_cores: 0.05, peak_kib: 2048, load }
    }

    #[test]
    fn ours_is_compared_with_the_better_peer_by_medians() {
        let plain = [("Mainstay", 0.8), ("Mainstay", 0.9), ("Mainstay", 5.0), ("nginx", 1.2), ("HAProxy", 1.0)];
        let tls = [("Mainstay", 1.0), ("nginx", 2.0)];
        let runs = plain.map(|(gateway, seconds)| run(gateway, Work::Plain64, seconds)).into_iter();
        let measured = runs.chain(tls.map(|(gateway, seconds)| run(gateway, Work::Static, seconds))).collect();
        let report = Report {
            machine: "A machine".into(),
            versions: vec!["a".into()],
            rounds: 3,
            measured,
            endured: Vec::new(),
        };
        let text = report.to_string();
        for line in [
            "| HTTP/1.1, 64 | 0.90 | 1.20 | 1.00 | 0.90 |",
            "| HTTP/1.1, 64 | 0.90 | 0.85 | missed |",
            "| static 10 KiB, 64 | 1.00 | 2.00 | serves no files | 0.50 |",
            "| static 10 KiB, 64 | 0.50 | 0.95 | met |",
            "| HTTP/1.1, 64 | 50000 | 50000 | 50000 | 1.00 |",
        ] {
            assert!(text.lines().any(|printed| printed == line), "{line}\n{text}");
        }
    }

    /// Fails when a figure stands in another's column, or rows are in the order in which they were measured.
    #[test]
    fn each_kind_of_slow_clients_has_its_rows() {
        let endured = |gateway, attack, ended: &[u64]| Endured {
            gateway,
            attack,
            clients: 500,
            resident_kib: [1024, 3072, 2048],
            ended: ended.iter().map(|&millis| Duration::from_millis(millis)).collect(),
            others: Others { p99_ms: 0.254, failed: 7 },
        };
        let endured = vec![
            endured("Mainstay", Attack::SlowRead, &[]),
            endured("Mainstay", Attack::SlowHead, &[15_300, 15_000]),
            endured("nginx", Attack::SlowRead, &[]),
        ];
        let report = Report { machine: String::new(), versions: Vec::new(), rounds: 1, measured: Vec::new(), endured };
        let text = report.to_string();
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| 500 ")).collect();
        assert_eq!(
            rows,
            [
                "| 500 | a byte of a head each second | Mainstay | 1.0 | 3.0 | 2.0 | 0.25 | 7 | 2 | 15.0 to 15.3 |",
                "| 500 | 1 KiB of an answer each second | Mainstay | 1.0 | 3.0 | 2.0 | 0.25 | 7 | 0 |  |",
                "| 500 | 1 KiB of an answer each second | nginx | 1.0 | 3.0 | 2.0 | 0.25 | 7 | 0 |  |",
            ]
        );
    }
}
