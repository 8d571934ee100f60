//! The page about the edge. Start reading at the first `impl` of [`Report`].

use std::fmt;

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
            "Medians of {} rounds; the order turns with each round. Every gateway has one worker on the first",
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
        let failed: f64 = self.measured.iter().map(|run| run.load.failed).sum();
        let disturbed = self.measured.iter().map(|run| run.foreign_cores).fold(0.0, f64::max);
        writeln!(
            f,
            "\nFailed requests in all runs: {failed:.0}. Most that anything else used during a run: {disturbed:.2} cores."
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "a size for people, with one digit after the point")]
fn megabytes(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::{Load, Measured, Report, Work};

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
        let report = Report { machine: "A machine".into(), versions: vec!["a".into()], rounds: 3, measured };
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
}
