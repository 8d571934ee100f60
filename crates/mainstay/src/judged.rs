//! A stack file judged whole: what `config` finds in its text, and what its objectives make impossible on
//! this machine. `check`, `plan`, `up` and the node all ask here, so that none accepts what another refuses.

use config::{Checked, SourceFile};
use model::EnvironmentName;
use model::stack::{Capacity, Stack};
use plan::objectives::{Contradiction, Derived, derive};

use crate::terminal::problem::{Finding, Severity};

/// What became of a file.
pub(crate) struct Judged {
    /// The stack and what follows from its objectives; absent when the file is refused.
    pub(crate) accepted: Option<(Stack, Derived)>,
    /// Everything found, in the order of the text.
    pub(crate) findings: Vec<Finding>,
}

impl Judged {
    /// A file that this makes impossible to read.
    pub(crate) fn refused(problem: &config::Problem) -> Self {
        Self { accepted: None, findings: vec![finding(problem)] }
    }
}

/// Judges a file for one environment, on a machine that has so much to give.
pub(crate) fn judge(source: &SourceFile, environment: Option<&EnvironmentName>, machine: Capacity) -> Judged {
    let mut checked = config::check(source, environment);
    let derived = checked.stack.as_ref().map(|stack| derive(stack, machine));
    let written = derived.as_ref().map(|derived| &derived.contradictions[..]).unwrap_or_default();
    let of_remainder = checked.remainder.as_ref().map(|stack| derive(stack, machine).contradictions);
    let fallen = of_remainder.iter().flatten().filter(|it| !written.contains(it));
    let contradictions: Vec<Finding> = written
        .iter()
        .map(|it| contradiction(&checked, source, it))
        .chain(fallen.map(|it| with_what_is_unsupported(contradiction(&checked, source, it))))
        .collect();
    let mut findings: Vec<Finding> = checked.problems.iter().map(finding).chain(contradictions).collect();
    findings.sort_by_key(|finding| finding.bytes.start);
    let refused = findings.iter().any(|finding| finding.severity.refuses());
    Judged { accepted: checked.stack.take().zip(derived).filter(|_| !refused), findings }
}

fn contradiction(checked: &Checked, source: &SourceFile, contradiction: &Contradiction) -> Finding {
    let severity = match contradiction.severity {
        plan::objectives::Severity::Error => config::Severity::Error,
        plan::objectives::Severity::Warning => config::Severity::Warning,
    };
    let (message, hint) = (contradiction.what.to_string(), Some(contradiction.hint()));
    finding(&checked.problem_at(source, &contradiction.path, severity, message, hint))
}

/// A contradiction that stands only once the lines are gone that are not supported yet: it is told with them.
fn with_what_is_unsupported(finding: Finding) -> Finding {
    let severity = match finding.severity {
        Severity::Error => Severity::Unsupported,
        severity => severity,
    };
    Finding { severity, message: format!("with the unsupported lines deleted, {}", finding.message), ..finding }
}

fn finding(problem: &config::Problem) -> Finding {
    Finding {
        severity: match problem.severity {
            config::Severity::Error => Severity::Error,
            config::Severity::Unsupported => Severity::Unsupported,
            config::Severity::Warning => Severity::Warning,
        },
        rule: problem.rule.as_str().to_owned(),
        file: problem.file.clone(),
        line: problem.place.start.line,
        column: problem.place.start.column,
        marked: problem.marked.clone(),
        message: problem.message.clone(),
        hint: problem.hint.clone(),
        bytes: problem.place.from..problem.place.to,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use model::{ByteSize, CpuShare};

    use super::*;

    /// What the rule `objective` finds on a server with 2 cores and 4 GiB.
    fn check(text: &str, want: &Expect) {
        let machine = Capacity { cpu: CpuShare::millicores(2000), memory: ByteSize::mebibytes(4096) };
        let judged = judge(&SourceFile::new("mainstay.yaml", text), None, machine);
        let found = judged.findings.iter().filter(|finding| finding.rule == "objective");
        let lines: Vec<String> = found.map(|it| format!("{:?} {} {}\n", it.severity, it.rule, it.line())).collect();
        want.assert_eq(&lines.concat());
    }

    const ROUTED: &str = "
stack: shop
objectives: { availability: 99.9%, latency: { p95: 200ms } }
services:
  api: { run: ./api }
edge:
  listen: { http: 80 }
  routes:
    - { host: shop.example, to: api }
";

    #[test]
    fn promises_that_can_be_kept() {
        check(ROUTED, &expect![""]);
        check(&ROUTED.replace("./api }", "./api, replicas: 2 }"), &expect![""]);
        check(&ROUTED.replace("99.9%", "99%").replace("./api }", "./api, replicas: 1 }"), &expect![""]);
        check(&ROUTED.replace("to: api }", "to: api, timeout: 200ms }"), &expect![""]);
    }

    #[test]
    fn a_single_replica_under_a_high_availability() {
        check(
            &ROUTED.replace("./api }", "./api, replicas: 1 }"),
            &expect![[r#"
            Error objective mainstay.yaml:5:32: api has a single replica, and 99.9% of requests cannot succeed while it restarts (say `replicas: 2`, or leave the line out: 2 follow from the objective)
        "#]],
        );
        check(
            &ROUTED.replace("./api }", "./api, port: 8080 }"),
            &expect![[r#"
            Error objective mainstay.yaml:5:28: api has a fixed port, which leaves room for a single replica, and 99.9% of requests cannot succeed while it restarts (say `port: auto`: each replica then listens on a port of its own)
        "#]],
        );
    }

    #[test]
    fn a_route_that_gives_up_before_the_promised_latency() {
        check(
            &ROUTED.replace("to: api }", "to: api, timeout: 150ms }"),
            &expect![[r#"
                Error objective mainstay.yaml:9:47: this route to api gives up after 150ms, before the promised 200ms are over (say `timeout: 200ms` or longer)
            "#]],
        );
    }

    const DATA: &str = "
stack: shop
objectives: { recovery: { rto: 1h, rpo: 15m } }
services:
  api: { run: ./api, uses: [db, cache] }
resources:
  db: { type: postgres }
  cache: { type: redis, evict: allkeys-lru }
backups:
  to: [{ folder: /mnt/backup }]
";

    #[test]
    fn a_recovery_point_that_no_lane_reaches() {
        check(
            &DATA.replace("15m", "30s"),
            &expect![[r#"
                Warning objective mainstay.yaml:3:32: with the unsupported lines deleted, no data of db leaves this machine, so nothing is restored within 1h if its disk is lost (copy the data off the machine by a scheduled service of yours: this version does not do it yet)
                Error objective mainstay.yaml:3:41: db can be copied off the machine every 1m at best, not every 30s (say `rpo: 1m`)
                Unsupported objective mainstay.yaml:3:41: with the unsupported lines deleted, no data of db leaves this machine, so an RPO of 30s cannot be met if its disk is lost (remove `rpo`: this version copies no data off the machine yet, and does not count copies of your own)
            "#]],
        );
        check(
            &DATA.replace("15m", "2m").replace(", evict: allkeys-lru", ""),
            &expect![[r#"
                Warning objective mainstay.yaml:3:32: with the unsupported lines deleted, no data of cache, db leaves this machine, so nothing is restored within 1h if its disk is lost (copy the data off the machine by a scheduled service of yours: this version does not do it yet)
                Error objective mainstay.yaml:3:41: cache can be copied off the machine every 5m at best, not every 2m (say `rpo: 5m`)
                Unsupported objective mainstay.yaml:3:41: with the unsupported lines deleted, no data of cache, db leaves this machine, so an RPO of 2m cannot be met if its disk is lost (remove `rpo`: this version copies no data off the machine yet, and does not count copies of your own)
            "#]],
        );
    }

    #[test]
    fn a_recovery_point_that_counts_on_backups_that_nobody_makes() {
        check(
            DATA,
            &expect![[r#"
                Warning objective mainstay.yaml:3:32: with the unsupported lines deleted, no data of db leaves this machine, so nothing is restored within 1h if its disk is lost (copy the data off the machine by a scheduled service of yours: this version does not do it yet)
                Unsupported objective mainstay.yaml:3:41: with the unsupported lines deleted, no data of db leaves this machine, so an RPO of 15m cannot be met if its disk is lost (remove `rpo`: this version copies no data off the machine yet, and does not count copies of your own)
            "#]],
        );
        check(
            &DATA.replace("\nbackups:\n  to: [{ folder: /mnt/backup }]", ""),
            &expect![[r#"
                Warning objective mainstay.yaml:3:32: no data of db leaves this machine, so nothing is restored within 1h if its disk is lost (copy the data off the machine by a scheduled service of yours: this version does not do it yet)
                Error objective mainstay.yaml:3:41: no data of db leaves this machine, so an RPO of 15m cannot be met if its disk is lost (remove `rpo`: this version copies no data off the machine yet, and does not count copies of your own)
            "#]],
        );
        check(&DATA.replace("db, ", "").replace("  db: { type: postgres }\n", ""), &expect![""]);
    }

    #[test]
    fn more_than_the_server_has() {
        let limited = |limits: &str| ROUTED.replace("./api }", &format!("./api, replicas: 3, limits: {limits} }}"));
        check(&limited("{ cpu: 0.5, memory: 1GiB }"), &expect![""]);
        check(
            &limited("{ cpu: 1 }"),
            &expect![[r#"
                Error objective mainstay.yaml:5:50: 3 cores of processor time is reserved and the server has 2 cores (reserve 1 core less; api takes most, with 3)
            "#]],
        );
        check(
            &limited("{ memory: 2GiB }"),
            &expect![[r#"
                Error objective mainstay.yaml:5:53: 6GiB of memory is reserved and the server has 4GiB (reserve 2GiB less; api takes most, with 6GiB)
            "#]],
        );
        let larger = format!(
            "{}environments: {{ development: {{ server: {{ cpu: 8, memory: 8GiB }} }} }}\n",
            limited("{ cpu: 1 }")
        );
        check(&larger, &expect![""]);
    }

    #[test]
    fn advice_only_warns() {
        let advisory = format!("{DATA}environments: {{ development: {{ advisory: true }} }}\n");
        check(
            &advisory,
            &expect![[r#"
                Warning objective mainstay.yaml:3:32: with the unsupported lines deleted, no data of db leaves this machine, so nothing is restored within 1h if its disk is lost (copy the data off the machine by a scheduled service of yours: this version does not do it yet)
                Warning objective mainstay.yaml:3:41: with the unsupported lines deleted, no data of db leaves this machine, so an RPO of 15m cannot be met if its disk is lost (remove `rpo`: this version copies no data off the machine yet, and does not count copies of your own)
            "#]],
        );
    }
}
