//! `mainstay status`: how the stack is.

use std::process::ExitCode;
use std::time::Duration;

use super::failure::{Exit, Failure};
use super::session::Session;
use crate::api::bodies::{ReplicaBody, ResourceBody, ServiceBody, StatusBody, UnitBody};
use crate::terminal::table::{Align, Cell, Table};
use crate::terminal::{Terminal, Tone, human, tone_of_state};
use model::{ByteSize, Timestamp};

/// Shows how the stack is: services, resources, objectives, problems
///
/// Ends with 3 when not everything is up, also while it is only on its way there, and with 4 when no node runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// Asks the node and prints its answer.
pub(crate) async fn run(_: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let status = session.client()?.status().await?;
    match session.terminal.is_json() {
        true => session.terminal.print_json(&status)?,
        false => session.terminal.print(&text(&status, &session.terminal))?,
    }
    Ok(ExitCode::from(exit(&status).map_or(0, Exit::code)))
}

/// How the command ends for a script that asks whether everything is up, as `systemctl status` does.
fn exit(status: &StatusBody) -> Option<Exit> {
    (!status.settled).then_some(Exit::NotReady)
}

/// The status as a person reads it, 80 columns wide where names allow.
pub(crate) fn text(status: &StatusBody, terminal: &Terminal) -> String {
    let tables = [edge(status), services(status), resources(status), objectives(status)];
    let mut text = headline(status, terminal);
    for table in tables.iter().filter(|table| !table.is_empty()) {
        text.push('\n');
        text.push_str(&table.render(terminal));
    }
    text.push_str(&problems(status, terminal));
    text.push('\n');
    text.push_str(&platform(status, terminal));
    text
}

fn headline(status: &StatusBody, terminal: &Terminal) -> String {
    let (tone, state) = match (status.settled, status.problems.is_empty()) {
        _ if status.stopping => (Tone::Caution, "being stopped"),
        (true, true) => (Tone::Good, "everything is up"),
        (true, false) => (Tone::Caution, "everything is up, with problems"),
        (false, _) => (Tone::Caution, "not everything is up"),
    };
    let name = terminal.paint(Tone::Strong, status.stack.as_str());
    let mut text = format!("{name} ({}): {}\n", status.environment, terminal.paint(tone, state));
    for address in &status.edge.addresses {
        text.push_str(&format!("  {address}\n"));
    }
    text
}

const UNIT_COLUMNS: [(&str, Align); 7] = [
    ("SERVICE", Align::Left),
    ("STATE", Align::Left),
    ("PID", Align::Right),
    ("ADDRESS", Align::Left),
    ("MEMORY", Align::Right),
    ("RESTARTS", Align::Right),
    ("SINCE", Align::Right),
];

fn services(status: &StatusBody) -> Table {
    let mut table = Table::new(&UNIT_COLUMNS);
    for service in &status.services {
        let state = state_of_service(service);
        table.row(vec![
            Cell::toned(Tone::Strong, service.name.as_str()),
            Cell::toned(tone_of_state(&service.state), state),
        ]);
        for sentence in about_service(service, status.at) {
            table.note(NOTE_INDENT, Cell::toned(Tone::Quiet, sentence));
        }
        for replica in &service.replicas {
            table.row(unit_row(format!("  {}", short_id(replica, service)), &replica.unit, status.at));
            note_on(&mut table, &replica.unit);
        }
    }
    table
}

fn edge(status: &StatusBody) -> Table {
    let mut columns = UNIT_COLUMNS;
    columns[0].0 = "EDGE";
    let mut table = Table::new(&columns);
    if let Some(unit) = &status.edge.unit {
        table.row(unit_row("edge".to_owned(), unit, status.at));
        let connections = usize::try_from(status.edge.connections).unwrap_or(usize::MAX);
        table.note(2, Cell::toned(Tone::Quiet, human::count(connections, "connection")));
        if !status.edge.applied {
            table.note(2, Cell::toned(Tone::Caution, "has yet to take over the newest routes and replicas"));
        }
        note_on(&mut table, unit);
    }
    table
}

/// How far notes stand in: below the second letter of what they are about.
const NOTE_INDENT: usize = 4;

/// How the service is, with how many of the replicas that it is to have serve, whichever release they are of.
pub(crate) fn state_of_service(service: &ServiceBody) -> String {
    match (service.wanted, &*service.state) {
        (0, state) | (_, state @ ("stopping" | "stopped")) => state.to_owned(),
        (wanted, state) => format!("{state} {}/{wanted}", service.serving.min(wanted)),
    }
}

fn about_service(service: &ServiceBody, at: Timestamp) -> Vec<String> {
    let next = service.next_run.map(|next| format!("next run in {}", human::span(next.since(at))));
    let last = service.last_run.as_ref().map(|last| format!("last run: {last}"));
    let requests = service.traffic.map(|it| {
        let (failed, p95) = (it.failed * 100.0, human::span(Duration::from_secs_f64(it.p95_ms / 1000.0)));
        format!("{:.1} requests/s, {failed:.2}% failed, 95% within {p95}", it.per_second)
    });
    service.change.clone().into_iter().chain(next).chain(last).chain(requests).collect()
}

/// A replica under its service's name needs no more than the rest of its id.
fn short_id(replica: &ReplicaBody, service: &ServiceBody) -> String {
    let id = replica.id.to_string();
    id.strip_prefix(service.name.as_str()).map_or(id.clone(), |rest| rest.trim_start_matches('.').to_owned())
}

fn resources(status: &StatusBody) -> Table {
    let mut columns = UNIT_COLUMNS;
    columns[0].0 = "RESOURCE";
    let mut table = Table::new(&columns);
    for resource in &status.resources {
        table.row(unit_row(resource.name.to_string(), &resource.unit, status.at));
        table.note(2, Cell::toned(Tone::Quiet, about_resource(resource)));
        note_on(&mut table, &resource.unit);
    }
    table
}

fn about_resource(resource: &ResourceBody) -> String {
    match &resource.version {
        Some(version) => format!("{} {version}", resource.kind),
        None => resource.kind.clone(),
    }
}

fn unit_row(name: String, unit: &UnitBody, at: Timestamp) -> Vec<Cell> {
    let restarts = match unit.restarts {
        0 => Cell::toned(Tone::Quiet, "0"),
        count => Cell::toned(Tone::Caution, count.to_string()),
    };
    vec![
        name.into(),
        Cell::toned(tone_of_state(&unit.state), &*unit.state),
        unit.pid.map(|pid| pid.to_string()).unwrap_or_default().into(),
        unit.address.clone().unwrap_or_default().into(),
        unit.memory.map(human::size).unwrap_or_default().into(),
        restarts,
        unit.since.map(|since| human::span(at.since(since))).unwrap_or_default().into(),
    ]
}

fn note_on(table: &mut Table, unit: &UnitBody) {
    if let Some(note) = &unit.note {
        let tone = if tone_of_state(&unit.state) == Tone::Bad { Tone::Bad } else { Tone::Caution };
        table.note(NOTE_INDENT, Cell::toned(tone, note));
    }
}

fn objectives(status: &StatusBody) -> Table {
    let mut table = Table::new(&[("OBJECTIVE", Align::Left), ("PROMISE", Align::Left), ("VERDICT", Align::Left)]);
    for objective in &status.objectives {
        table.row(vec![
            objective.name.as_str().into(),
            objective.promise.as_str().into(),
            Cell::toned(tone_of_state(&objective.verdict), &*objective.verdict),
        ]);
        table.note(NOTE_INDENT, Cell::toned(Tone::Quiet, &*objective.reason));
    }
    table
}

fn problems(status: &StatusBody, terminal: &Terminal) -> String {
    if status.problems.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{}\n", terminal.paint(Tone::Strong, "PROBLEMS"));
    for problem in &status.problems {
        let lines = crate::terminal::table::wrap(&crate::terminal::printable(problem), terminal.width() - 2);
        text.push_str(&format!("- {}\n", terminal.paint(Tone::Caution, &lines.join("\n  "))));
    }
    text
}

/// The platform's own processes, in a sentence or two.
fn platform(status: &StatusBody, terminal: &Terminal) -> String {
    let node = &status.node;
    let memory = node.memory.map(|memory| format!(", {}", human::size(memory))).unwrap_or_default();
    let up = human::span(Duration::from_millis(node.uptime_ms));
    let shims: Vec<Option<ByteSize>> =
        status.processes.iter().filter(|process| process.kind == "shim").map(|process| process.memory).collect();
    let mut text = format!("node {}, pid {}, up {up}{memory}", node.version, node.pid);
    if !shims.is_empty() {
        let sum = shims.iter().flatten().fold(ByteSize::default(), |sum, memory| sum.saturating_add(*memory));
        text.push_str(&format!("; {}, {}", human::count(shims.len(), "shim"), human::size(sum)));
    }
    let lines = [text, format!("state: {}", node.state), format!("isolation: {}", node.isolation)];
    let wrapped = lines.iter().flat_map(|line| crate::terminal::table::wrap(line, terminal.width()));
    wrapped.map(|line| format!("{}\n", terminal.paint(Tone::Quiet, &line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "an expectation is written where it is used")]
    fn check(status: &str, expected: Expect) {
        let status: StatusBody = serde_json::from_str(status).unwrap();
        let text = text(&status, &Terminal::plain());
        assert!(text.lines().all(|line| line.chars().count() <= 80), "wider than 80 columns:\n{text}");
        expected.assert_eq(&text);
    }

    #[test]
    fn a_stack_that_is_up() {
        check(
            include_str!("samples/status-up.json"),
            expect![[r#"
                guestbook (development): everything is up

                SERVICE  STATE       PID  ADDRESS           MEMORY  RESTARTS      SINCE
                web      ready 2/2
                  1.1    ready      4121  127.0.0.1:40123  9.0 MiB         0  2 h 3 min
                  1.2    ready      4131  127.0.0.1:40124  9.0 MiB         3       30 s
                digest   scheduled
                    next run in 12 h
                    last run: succeeded 12 hours ago

                RESOURCE  STATE   PID  ADDRESS            MEMORY  RESTARTS      SINCE
                db        ready  4111  127.0.0.1:40100  50.0 MiB         0  2 h 3 min
                  postgres 15.14

                OBJECTIVE     PROMISE                    VERDICT
                availability  99.9% of requests succeed  unproven
                    nothing measures requests yet

                node 0.1.0, pid 4100, up 2 h 3 min, 14.0 MiB; 2 shims, 1.0 MiB
                state: /srv/guestbook/.mainstay
                isolation: by user: each service has its own
            "#]],
        );
    }

    #[test]
    fn what_changes_or_stops_is_no_outage() {
        let changing = include_str!("samples/status-changing.json");
        check(
            changing,
            expect![[r#"
            guestbook (production): not everything is up

            SERVICE  STATE
            web      going back 2/2
                to release 1, as release 3: 0 of 2 replicas replaced
            worker   stopping

            node 0.1.0, pid 4100, up 900 ms
            state: /srv/guestbook/.mainstay
            isolation: by user: each service has its own
        "#]],
        );
        let mut status: StatusBody = serde_json::from_str(changing).unwrap();
        assert_eq!(exit(&status), Some(Exit::NotReady));
        status.stopping = true;
        assert_eq!(headline(&status, &Terminal::plain()), "guestbook (production): being stopped\n");
        status.settled = true;
        assert_eq!(exit(&status), None);
    }

    #[test]
    fn a_stack_in_trouble() {
        check(
            include_str!("samples/status-trouble.json"),
            expect![[r#"
                guestbook (production): not everything is up
                  https://{tenant}.guestbook.localhost:8443/

                SERVICE  STATE        RESTARTS  SINCE
                web      failing 0/2
                  2.1    crash loop          7  2 min
                    exited with code 1; the last line it printed was: Error: cannot find module
                    'express'
                  2.2    waiting             0
                    waits for db

                RESOURCE  STATE      RESTARTS  SINCE
                db        preparing         0    3 s
                  postgres

                PROBLEMS
                - The clock of this machine went back by an hour; schedules will not run twice.
                - web has no replica that is ready.

                node 0.1.0, pid 4100, up 900 ms
                state: /srv/guestbook/.mainstay
                isolation: by process only: services share your user, and can read whatever you
                can and signal your processes: this kernel has no Landlock or does not enable it
                (lsm=landlock), and namespaces are not to be had: Operation not permitted (os
                error 1)
            "#]],
        );
    }
}
