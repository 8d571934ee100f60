//! What a shim decides: a state machine without any input or output.
//!
//! [`Core::step`] takes one [`Input`] and the time, and answers with [`Effect`]s to carry out in order.
//! The real shim carries them out on processes and sockets, the simulated world on simulated ones.
//!
//! Invariants. The child is signalled gently at most once per signal. A kill deadline only comes nearer.
//! The exit record is written after no process of the unit is left, and before the end is told. Nothing
//! here knows a file descriptor or a pid's meaning.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{Digest, Exit, ExitStatus, ProcessIdentity, Timestamp, UnitId};
use sys::{FolderIdentity, Now};

use crate::protocol::{ExitReport, Report, Request, VERSION};

/// Commands that run at the same time; a further one is refused in its answer.
pub const COMMANDS_MAX: usize = 4;
/// From one kill to the next while processes of the unit are left.
pub const KILL_AGAIN: Duration = Duration::from_millis(50);
/// From one attempt to write the exit record to the next.
pub const RECORD_AGAIN: Duration = Duration::from_secs(1);
/// Attempts to write the exit record before the shim ends without one. Connected nodes are told after
/// the first; the shim stays on all the same, since a node that was told may die before it has room to
/// write it down. A node that has written it down kills the shim.
pub const RECORD_TRIES_MAX: u32 = 3600;

/// One connection to the shim, as its runner counts them. Never used twice by one shim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client(pub u64);

/// One command that was asked for. Never used twice by one shim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// What the shim learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The child runs. This or [`Input::NotStarted`] comes first, once.
    Started(ProcessIdentity),
    /// The child could not be started, and why.
    NotStarted {
        /// The reason, as a sentence for people.
        note: String,
    },
    /// The child ended and its status was collected.
    Exited {
        /// With what.
        status: ExitStatus,
        /// What there is to say about it besides.
        note: Option<String>,
    },
    /// The answer to [`Effect::Kill`]: how many processes of the unit are still there.
    Left(usize),
    /// The answer to [`Effect::Record`]: whether the record is on the disk.
    Recorded(bool),
    /// A node connected.
    Connected(Client),
    /// A connection ended.
    Disconnected(Client),
    /// A node asks.
    Asked(Client, Request),
    /// The shim itself was asked to stop by the operating system (SIGTERM at shutdown).
    StopAsked {
        /// The signal for the child.
        signal: i32,
        /// How long it may take.
        deadline: Duration,
    },
    /// A command ended.
    CommandEnded {
        /// Which.
        command: CommandId,
        /// Its exit code; absent when it was killed or could not be started.
        code: Option<i32>,
        /// The end of its output, or why it could not be started.
        output: String,
    },
    /// Time has passed; harmless when too early.
    Timer,
}

/// Which processes are killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Every process of the unit outside the child's process group.
    Strays,
    /// Every process of the unit.
    Everything,
}

/// What the shim is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send a signal to the child's process group. Only while the child has not been collected.
    Signal(i32),
    /// Send SIGKILL; answer with [`Input::Left`].
    Kill(Reach),
    /// Write the exit record; answer with [`Input::Recorded`]. The last lines of output are the
    /// runner's to fill in: it has read the output to its end by then.
    Record(ExitReport),
    /// Send a message to one connection.
    Tell(Client, Report),
    /// Send a message to every connection. Last lines as in [`Effect::Record`].
    TellAll(Report),
    /// Start a command; answer with [`Input::CommandEnded`].
    Run {
        /// Which.
        command: CommandId,
        /// Its words.
        words: Vec<String>,
    },
    /// Kill a command's process group; its end is still answered.
    KillCommand(CommandId),
    /// Give [`Input::Timer`] at this steady time; replaces any earlier one.
    Arm(Duration),
    /// End the shim.
    End,
}

/// The state of one shim.
#[derive(Debug, Clone)]
pub struct Core {
    unit: UnitId,
    digest: Digest,
    home: Option<FolderIdentity>,
    started: Timestamp,
    phase: Phase,
    stop: Option<Stop>,
    clients: Vec<Client>,
    commands: BTreeMap<CommandId, Command>,
    commands_asked: u64,
}

#[derive(Debug, Clone)]
enum Phase {
    Starting,
    Running { child: ProcessIdentity, kill_again: Option<Duration> },
    Clearing { exit: ExitReport, look_again: Duration },
    Recording { exit: ExitReport, tries: u32, again: Duration },
    Ended { exit: ExitReport },
}

#[derive(Debug, Clone)]
struct Stop {
    kill_at: Duration,
    sent: Vec<i32>,
}

#[derive(Debug, Clone)]
struct Command {
    client: Client,
    ticket: u64,
    kill_at: Option<Duration>,
}

impl Core {
    /// A shim of this unit that is about to start its child; `home` is the folder of units that it is in.
    pub fn new(unit: UnitId, digest: Digest, home: Option<FolderIdentity>, started: Timestamp) -> Self {
        Self {
            unit,
            digest,
            home,
            started,
            phase: Phase::Starting,
            stop: None,
            clients: Vec::new(),
            commands: BTreeMap::new(),
            commands_asked: 0,
        }
    }

    /// The child while it runs.
    pub fn child(&self) -> Option<&ProcessIdentity> {
        match &self.phase {
            Phase::Running { child, .. } => Some(child),
            _ => None,
        }
    }

    /// Takes in what happened and says what to do, in order. Answers to effects are further steps.
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Started(child) => self.began(child, &mut effects),
            Input::NotStarted { note } => self.ended(now, ExitStatus::NotStarted, Some(note), &mut effects),
            Input::Exited { status, note } => self.ended(now, status, note, &mut effects),
            Input::Left(count) => self.left(now, count, &mut effects),
            Input::Recorded(written) => self.recorded(now, written, &mut effects),
            Input::Connected(client) => self.connected(client, &mut effects),
            Input::Disconnected(client) => self.disconnected(client, &mut effects),
            Input::Asked(client, request) => self.asked(now, client, request, &mut effects),
            Input::StopAsked { signal, deadline } => self.stop(now, signal, deadline, &mut effects),
            Input::CommandEnded { command, code, output } => self.command_ended(command, code, output, &mut effects),
            Input::Timer => self.timer(now, &mut effects),
        }
        if let Some(wake) = self.wake_at() {
            effects.push(Effect::Arm(wake));
        }
        effects
    }

    fn began(&mut self, child: ProcessIdentity, effects: &mut Vec<Effect>) {
        self.phase = Phase::Running { child, kill_again: None };
        if !self.clients.is_empty() {
            effects.push(Effect::TellAll(self.hello()));
        }
    }

    fn ended(&mut self, now: Now, status: ExitStatus, note: Option<String>, effects: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Clearing { .. } | Phase::Recording { .. } | Phase::Ended { .. }) {
            return;
        }
        let exit = ExitReport { exit: Exit { at: now.wall, status }, note, last_lines: Vec::new() };
        self.phase = Phase::Clearing { exit, look_again: now.steady + KILL_AGAIN };
        effects.push(Effect::Kill(self.reach(now)));
    }

    /// Whoever is in the child's own group was asked to stop together with it and keeps the time it
    /// was given; without a stop under way nobody outlives the child.
    fn reach(&self, now: Now) -> Reach {
        match &self.stop {
            Some(stop) if now.steady < stop.kill_at => Reach::Strays,
            _ => Reach::Everything,
        }
    }

    fn left(&mut self, now: Now, count: usize, effects: &mut Vec<Effect>) {
        match &mut self.phase {
            Phase::Clearing { exit, .. } if count == 0 => {
                let exit = exit.clone();
                effects.push(Effect::Record(exit.clone()));
                self.phase = Phase::Recording { exit, tries: 1, again: now.steady + RECORD_AGAIN };
            }
            Phase::Clearing { look_again, .. } => *look_again = now.steady + KILL_AGAIN,
            Phase::Running { kill_again: Some(again), .. } => *again = now.steady + KILL_AGAIN,
            Phase::Starting | Phase::Running { .. } | Phase::Recording { .. } | Phase::Ended { .. } => {}
        }
    }

    fn recorded(&mut self, now: Now, written: bool, effects: &mut Vec<Effect>) {
        let Phase::Recording { exit, tries, again } = &mut self.phase else { return };
        let exit = exit.clone();
        if !written && *tries < RECORD_TRIES_MAX {
            *again = now.steady + RECORD_AGAIN;
            if *tries == 1 {
                effects.push(Effect::TellAll(Report::Exited(exit)));
            }
            return;
        }
        effects.push(Effect::TellAll(Report::Exited(exit.clone())));
        effects.push(Effect::End);
        self.phase = Phase::Ended { exit };
    }

    fn connected(&mut self, client: Client, effects: &mut Vec<Effect>) {
        self.clients.push(client);
        effects.push(Effect::Tell(client, self.hello()));
    }

    fn hello(&self) -> Report {
        let exit = match &self.phase {
            Phase::Starting | Phase::Running { .. } => None,
            Phase::Clearing { exit, .. } | Phase::Recording { exit, .. } | Phase::Ended { exit } => Some(exit.clone()),
        };
        Report::Hello {
            version: VERSION,
            unit: self.unit.clone(),
            digest: self.digest,
            home: self.home,
            child: self.child().cloned(),
            started: self.started,
            exit,
        }
    }

    fn disconnected(&mut self, client: Client, effects: &mut Vec<Effect>) {
        self.clients.retain(|known| *known != client);
        for (id, command) in &mut self.commands {
            if command.client == client && command.kill_at.take().is_some() {
                effects.push(Effect::KillCommand(*id));
            }
        }
    }

    fn asked(&mut self, now: Now, client: Client, request: Request, effects: &mut Vec<Effect>) {
        match request {
            Request::Stop { signal, deadline_ms } => {
                self.stop(now, signal, Duration::from_millis(deadline_ms), effects);
            }
            Request::Command { ticket, words, timeout_ms } => {
                self.command(now, client, ticket, words, Duration::from_millis(timeout_ms), effects);
            }
        }
    }

    fn stop(&mut self, now: Now, signal: i32, deadline: Duration, effects: &mut Vec<Effect>) {
        let kill_at = now.steady.saturating_add(deadline);
        let stop = self.stop.get_or_insert(Stop { kill_at, sent: Vec::new() });
        stop.kill_at = stop.kill_at.min(kill_at);
        if let Phase::Running { .. } = &self.phase
            && !stop.sent.contains(&signal)
        {
            stop.sent.push(signal);
            effects.push(Effect::Signal(signal));
        }
        self.timer(now, effects);
    }

    fn command(
        &mut self,
        now: Now,
        client: Client,
        ticket: u64,
        words: Vec<String>,
        timeout: Duration,
        effects: &mut Vec<Effect>,
    ) {
        let refusal = match &self.phase {
            Phase::Running { .. } if words.is_empty() => Some("refused: the command has no words".to_owned()),
            Phase::Running { .. } if self.commands.len() < COMMANDS_MAX => None,
            Phase::Running { .. } => Some(format!("refused: {COMMANDS_MAX} commands already run in this unit")),
            _ => Some("refused: the unit's process does not run".to_owned()),
        };
        if let Some(output) = refusal {
            effects.push(Effect::Tell(client, Report::CommandEnded { ticket, code: None, output }));
            return;
        }
        self.commands_asked += 1;
        let id = CommandId(self.commands_asked);
        let kill_at = Some(now.steady.saturating_add(timeout));
        self.commands.insert(id, Command { client, ticket, kill_at });
        effects.push(Effect::Run { command: id, words });
    }

    fn command_ended(&mut self, id: CommandId, code: Option<i32>, output: String, effects: &mut Vec<Effect>) {
        let Some(command) = self.commands.remove(&id) else { return };
        if self.clients.contains(&command.client) {
            let report = Report::CommandEnded { ticket: command.ticket, code, output };
            effects.push(Effect::Tell(command.client, report));
        }
    }

    fn timer(&mut self, now: Now, effects: &mut Vec<Effect>) {
        for (id, command) in &mut self.commands {
            if command.kill_at.is_some_and(|at| at <= now.steady) {
                command.kill_at = None;
                effects.push(Effect::KillCommand(*id));
            }
        }
        let reach = self.reach(now);
        let stop_due = self.stop.is_some() && reach == Reach::Everything;
        match &mut self.phase {
            Phase::Running { kill_again, .. } if stop_due && kill_again.is_none_or(|at| at <= now.steady) => {
                *kill_again = Some(now.steady + KILL_AGAIN);
                effects.push(Effect::Kill(Reach::Everything));
            }
            Phase::Clearing { look_again, .. } if *look_again <= now.steady || stop_due => {
                *look_again = now.steady + KILL_AGAIN;
                effects.push(Effect::Kill(reach));
            }
            Phase::Recording { exit, tries, again } if *again <= now.steady => {
                *tries += 1;
                *again = now.steady + RECORD_AGAIN;
                effects.push(Effect::Record(exit.clone()));
            }
            _ => {}
        }
    }

    fn wake_at(&self) -> Option<Duration> {
        let phase = match &self.phase {
            Phase::Starting | Phase::Ended { .. } => None,
            Phase::Running { kill_again, .. } => kill_again.or(self.stop.as_ref().map(|stop| stop.kill_at)),
            Phase::Clearing { look_again, .. } => Some(*look_again),
            Phase::Recording { again, .. } => Some(*again),
        };
        self.commands.values().filter_map(|command| command.kill_at).chain(phase).min()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use expect_test::{Expect, expect};
    use model::{BootId, Pid};

    use super::*;

    /// Steps a fresh core through inputs at given milliseconds and prints what it asks for.
    fn check(steps: &[(u64, Input)], expected: &Expect) {
        let zero: Timestamp = "2026-11-20T17:00:00Z".parse().unwrap();
        let mut core = Core::new("api.3.1".parse().unwrap(), Digest([7; 32]), None, zero);
        let mut text = String::new();
        for (millis, input) in steps {
            let steady = Duration::from_millis(*millis);
            writeln!(text, "{millis}: {input:?}").unwrap();
            for effect in core.step(Now { wall: zero.after(steady), steady }, input.clone()) {
                writeln!(text, "    {effect:?}").unwrap();
            }
        }
        expected.assert_eq(&text);
    }

    fn started() -> Input {
        Input::Started(ProcessIdentity { boot: BootId("b".into()), pid: Pid(10), started: 5 })
    }

    fn stop(signal: i32, deadline_ms: u64) -> Input {
        Input::Asked(Client(1), Request::Stop { signal, deadline_ms })
    }

    #[test]
    fn a_child_that_ends_is_recorded_then_told() {
        check(
            &[
                (0, started()),
                (5, Input::Connected(Client(1))),
                (10, Input::Exited { status: ExitStatus::Code(3), note: None }),
                (10, Input::Left(2)),
                (60, Input::Timer),
                (60, Input::Left(0)),
                (61, Input::Recorded(true)),
            ],
            &expect![[r#"
                0: Started(ProcessIdentity { boot: BootId("b"), pid: Pid(10), started: 5 })
                5: Connected(Client(1))
                    Tell(Client(1), Hello { version: 1, unit: api.3.1, digest: 0707070707070707070707070707070707070707070707070707070707070707, home: None, child: Some(ProcessIdentity { boot: BootId("b"), pid: Pid(10), started: 5 }), started: 2026-11-20T17:00:00.000Z, exit: None })
                10: Exited { status: Code(3), note: None }
                    Kill(Everything)
                    Arm(60ms)
                10: Left(2)
                    Arm(60ms)
                60: Timer
                    Kill(Everything)
                    Arm(110ms)
                60: Left(0)
                    Record(ExitReport { exit: Exit { at: 2026-11-20T17:00:00.010Z, status: Code(3) }, note: None, last_lines: [] })
                    Arm(1.06s)
                61: Recorded(true)
                    TellAll(Exited(ExitReport { exit: Exit { at: 2026-11-20T17:00:00.010Z, status: Code(3) }, note: None, last_lines: [] }))
                    End
            "#]],
        );
    }

    #[test]
    fn a_deadline_only_comes_nearer_and_a_signal_is_sent_once() {
        check(
            &[
                (0, started()),
                (10, stop(15, 1000)),
                (20, stop(15, 5000)),
                (30, stop(2, 100)),
                (130, Input::Timer),
                (130, Input::Left(1)),
                (180, Input::Timer),
                (180, Input::Left(0)),
                (181, Input::Exited { status: ExitStatus::Signal(9), note: None }),
            ],
            &expect![[r#"
                0: Started(ProcessIdentity { boot: BootId("b"), pid: Pid(10), started: 5 })
                10: Asked(Client(1), Stop { signal: 15, deadline_ms: 1000 })
                    Signal(15)
                    Arm(1.01s)
                20: Asked(Client(1), Stop { signal: 15, deadline_ms: 5000 })
                    Arm(1.01s)
                30: Asked(Client(1), Stop { signal: 2, deadline_ms: 100 })
                    Signal(2)
                    Arm(130ms)
                130: Timer
                    Kill(Everything)
                    Arm(180ms)
                130: Left(1)
                    Arm(180ms)
                180: Timer
                    Kill(Everything)
                    Arm(230ms)
                180: Left(0)
                    Arm(230ms)
                181: Exited { status: Signal(9), note: None }
                    Kill(Everything)
                    Arm(231ms)
            "#]],
        );
    }

    #[test]
    fn who_was_asked_with_the_child_keeps_its_time() {
        check(
            &[
                (0, started()),
                (10, stop(15, 100)),
                (20, Input::Exited { status: ExitStatus::Signal(15), note: None }),
                (20, Input::Left(1)),
                (70, Input::Timer),
                (70, Input::Left(1)),
                (120, Input::Timer),
                (120, Input::Left(0)),
            ],
            &expect![[r#"
                0: Started(ProcessIdentity { boot: BootId("b"), pid: Pid(10), started: 5 })
                10: Asked(Client(1), Stop { signal: 15, deadline_ms: 100 })
                    Signal(15)
                    Arm(110ms)
                20: Exited { status: Signal(15), note: None }
                    Kill(Strays)
                    Arm(70ms)
                20: Left(1)
                    Arm(70ms)
                70: Timer
                    Kill(Strays)
                    Arm(120ms)
                70: Left(1)
                    Arm(120ms)
                120: Timer
                    Kill(Everything)
                    Arm(170ms)
                120: Left(0)
                    Record(ExitReport { exit: Exit { at: 2026-11-20T17:00:00.020Z, status: Signal(15) }, note: None, last_lines: [] })
                    Arm(1.12s)
            "#]],
        );
    }

    #[test]
    fn a_record_that_cannot_be_written_is_tried_again_while_nobody_listens() {
        check(
            &[
                (0, Input::NotStarted { note: "no such file".into() }),
                (0, Input::Left(0)),
                (0, Input::Recorded(false)),
                (1000, Input::Timer),
                (1000, Input::Connected(Client(1))),
                (1000, Input::Recorded(false)),
            ],
            &expect![[r#"
                0: NotStarted { note: "no such file" }
                    Kill(Everything)
                    Arm(50ms)
                0: Left(0)
                    Record(ExitReport { exit: Exit { at: 2026-11-20T17:00:00.000Z, status: NotStarted }, note: Some("no such file"), last_lines: [] })
                    Arm(1s)
                0: Recorded(false)
                    TellAll(Exited(ExitReport { exit: Exit { at: 2026-11-20T17:00:00.000Z, status: NotStarted }, note: Some("no such file"), last_lines: [] }))
                    Arm(1s)
                1000: Timer
                    Record(ExitReport { exit: Exit { at: 2026-11-20T17:00:00.000Z, status: NotStarted }, note: Some("no such file"), last_lines: [] })
                    Arm(2s)
                1000: Connected(Client(1))
                    Tell(Client(1), Hello { version: 1, unit: api.3.1, digest: 0707070707070707070707070707070707070707070707070707070707070707, home: None, child: None, started: 2026-11-20T17:00:00.000Z, exit: Some(ExitReport { exit: Exit { at: 2026-11-20T17:00:00.000Z, status: NotStarted }, note: Some("no such file"), last_lines: [] }) })
                    Arm(2s)
                1000: Recorded(false)
                    Arm(2s)
            "#]],
        );
    }

    #[test]
    fn whoever_connects_before_the_child_runs_is_greeted_again() {
        check(
            &[(0, Input::Connected(Client(1))), (1, started())],
            &expect![[r#"
            0: Connected(Client(1))
                Tell(Client(1), Hello { version: 1, unit: api.3.1, digest: 0707070707070707070707070707070707070707070707070707070707070707, home: None, child: None, started: 2026-11-20T17:00:00.000Z, exit: None })
            1: Started(ProcessIdentity { boot: BootId("b"), pid: Pid(10), started: 5 })
                TellAll(Hello { version: 1, unit: api.3.1, digest: 0707070707070707070707070707070707070707070707070707070707070707, home: None, child: Some(ProcessIdentity { boot: BootId("b"), pid: Pid(10), started: 5 }), started: 2026-11-20T17:00:00.000Z, exit: None })
        "#]],
        );
    }

    #[test]
    fn commands_are_bounded_in_time_and_number() {
        let ask =
            |ticket| Input::Asked(Client(1), Request::Command { ticket, words: vec!["true".into()], timeout_ms: 100 });
        let ended = |id, code| Input::CommandEnded { command: CommandId(id), code, output: String::new() };
        check(
            &[
                (0, started()),
                (0, Input::Connected(Client(1))),
                (1, ask(1)),
                (2, ask(2)),
                (2, ask(3)),
                (2, ask(4)),
                (2, ask(5)),
                (50, ended(1, Some(0))),
                (102, Input::Timer),
                (103, ended(2, None)),
                (104, Input::Disconnected(Client(1))),
                (105, ended(3, None)),
            ],
            &expect![[r#"
                0: Started(ProcessIdentity { boot: BootId("b"), pid: Pid(10), started: 5 })
                0: Connected(Client(1))
                    Tell(Client(1), Hello { version: 1, unit: api.3.1, digest: 0707070707070707070707070707070707070707070707070707070707070707, home: None, child: Some(ProcessIdentity { boot: BootId("b"), pid: Pid(10), started: 5 }), started: 2026-11-20T17:00:00.000Z, exit: None })
                1: Asked(Client(1), Command { ticket: 1, words: ["true"], timeout_ms: 100 })
                    Run { command: CommandId(1), words: ["true"] }
                    Arm(101ms)
                2: Asked(Client(1), Command { ticket: 2, words: ["true"], timeout_ms: 100 })
                    Run { command: CommandId(2), words: ["true"] }
                    Arm(101ms)
                2: Asked(Client(1), Command { ticket: 3, words: ["true"], timeout_ms: 100 })
                    Run { command: CommandId(3), words: ["true"] }
                    Arm(101ms)
                2: Asked(Client(1), Command { ticket: 4, words: ["true"], timeout_ms: 100 })
                    Run { command: CommandId(4), words: ["true"] }
                    Arm(101ms)
                2: Asked(Client(1), Command { ticket: 5, words: ["true"], timeout_ms: 100 })
                    Tell(Client(1), CommandEnded { ticket: 5, code: None, output: "refused: 4 commands already run in this unit" })
                    Arm(101ms)
                50: CommandEnded { command: CommandId(1), code: Some(0), output: "" }
                    Tell(Client(1), CommandEnded { ticket: 1, code: Some(0), output: "" })
                    Arm(102ms)
                102: Timer
                    KillCommand(CommandId(2))
                    KillCommand(CommandId(3))
                    KillCommand(CommandId(4))
                103: CommandEnded { command: CommandId(2), code: None, output: "" }
                    Tell(Client(1), CommandEnded { ticket: 2, code: None, output: "" })
                104: Disconnected(Client(1))
                105: CommandEnded { command: CommandId(3), code: None, output: "" }
            "#]],
        );
    }
}
