//! Plays a scenario: a text of commands, one on each line, that gives a trace.
//!
//! Start reading at [`play`]. The commands are:
//!
//! ```text
//! want db api.1.1@2        what is wanted from now on; @2 is another digest, +2 another completion
//! hold api.1.1             how these units are to run cannot be told from now on; of no unit when none is named
//! node                     a node begins
//! run 10s                  time passes
//! kill api.1.1             SIGKILL to a unit's child
//! kill shim api.1.1        SIGKILL to its shim
//! kill node                SIGKILL to the node
//! reboot                   the machine goes down and comes up, without a node
//! copy                     the next node finds a copy of the state directory; the original runs on
//! clock -1h                the wall clock jumps
//! disk full 30s            no space for so long (also: disk errors, probes fail, unreachable, no ports,
//!                          spawn fails, stop ignored)
//! damage db                a unit's record is cut in half
//! hang api.1.1             its child answers nothing any more
//! manner api.1.1 crashes 3 its next 3 starts end soon (also: missing N, tasks-fail N, leaks, slow SPAN,
//!                          stop-takes SPAN)
//! restart api.1.1          a restart is asked for
//! expect api.1.1 ready     how the node sees it, by the names of `State`; gone when it is not known
//! same-pid api.1.1         its child is the one that the last `note-pid api.1.1` saw
//! ```
//!
//! A line that begins with `#` says something to people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use model::time::Span;
use model::{Pid, UnitId};
use supervise::record::RECORD_FILE;

use crate::drive::Drive;
use crate::sample::{self, Part};
use crate::world::Inner;

/// A line is not a command, or what it expects is not so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioError {
    /// The line's number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub wrong: String,
}

/// Plays these commands; the trace that comes of it, or the first line that is not so.
pub fn play(commands: &str) -> Result<String, ScenarioError> {
    let mut stage = Stage { drive: Drive::new(1), pids: BTreeMap::new() };
    stage.drive.trace = Some(Vec::new());
    let mut trace = String::new();
    for (index, line) in commands.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(trace, "> {line}");
        let words: Vec<&str> = line.split_whitespace().collect();
        stage.carry_out(&words).map_err(|wrong| ScenarioError { line: index + 1, wrong })?;
        for noted in stage.drive.trace.replace(Vec::new()).unwrap_or_default() {
            let _ = writeln!(trace, "{noted}");
        }
        if let Some(broken) = stage.drive.world.look().laws.violations.first() {
            return Err(ScenarioError { line: index + 1, wrong: format!("a law is broken: {broken}") });
        }
    }
    Ok(trace)
}

struct Stage {
    drive: Drive,
    pids: BTreeMap<UnitId, Option<Pid>>,
}

impl Stage {
    fn carry_out(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["want", parts @ ..] => self.want(parts)?,
            ["hold", units @ ..] => {
                let held = units.iter().map(|unit| read_unit(unit)).collect::<Result<_, String>>()?;
                self.drive.hold(held);
            }
            ["node"] => self.drive.start_node(),
            ["run", span] => self.drive.run_for(read_span(span)?),
            ["kill", "node"] => self.drive.kill_node(),
            ["kill", "shim", unit] => {
                let start = self.start_of(unit)?;
                self.drive.world.change().kill_shim(start);
            }
            ["kill", unit] => {
                let start = self.start_of(unit)?;
                self.drive.world.change().kill_child(start);
            }
            ["reboot"] => self.drive.reboot(),
            ["copy"] => self.drive.copy(),
            ["clock", step] => self.step_clock(step)?,
            ["damage", unit] => self.damage(read_unit(unit)?)?,
            ["hang", unit] => {
                let start = self.start_of(unit)?;
                if let Some(shim) = self.drive.world.change().shims.get_mut(&start) {
                    shim.course.hung = true;
                }
            }
            ["manner", unit, rest @ ..] => self.set_manner(unit, rest)?,
            ["restart", unit] => {
                let unit = read_unit(unit)?;
                if !self.drive.restart(&unit) {
                    return Err("the restart was refused".to_owned());
                }
            }
            ["expect", unit, state] => self.expect(unit, state)?,
            ["note-pid", unit] => {
                let unit = read_unit(unit)?;
                let pid = self.pid(&unit);
                self.pids.insert(unit, pid);
            }
            ["same-pid", unit] => {
                let unit = read_unit(unit)?;
                let (noted, now) = (self.pids.get(&unit).copied().flatten(), self.pid(&unit));
                if noted.is_none() || noted != now {
                    return Err(format!("its pid was {noted:?} and is {now:?}"));
                }
            }
            [first, second, span] => self.open_window(&format!("{first} {second}"), read_span(span)?)?,
            [first, span] => self.open_window(first, read_span(span)?)?,
            _ => return Err("this is no command".to_owned()),
        }
        Ok(())
    }

    /// Cuts the record of a unit in half.
    fn damage(&mut self, unit: UnitId) -> Result<(), String> {
        let path = Inner::folder(&unit).join(RECORD_FILE);
        let mut world = self.drive.world.change();
        // Where it listens is lost as well: it may be restarted.
        world.restart_asked.insert(unit);
        let bytes = world.files.get_mut(&path).ok_or("it has no record")?;
        bytes.truncate(bytes.len() / 2);
        Ok(())
    }

    fn want(&mut self, words: &[&str]) -> Result<(), String> {
        let parts = words.iter().map(|word| read_part(word)).collect::<Result<Vec<Part>, String>>()?;
        {
            let mut world = self.drive.world.change();
            for part in &parts {
                world.manners.entry(part.id.clone()).or_insert_with(|| sample::manner(&part.id));
            }
        }
        self.drive.want(sample::stack(&parts));
        Ok(())
    }

    fn start_of(&self, unit: &str) -> Result<u64, String> {
        let unit = read_unit(unit)?;
        let world = self.drive.world.look();
        let start = world.shims.iter().find(|(_, shim)| shim.unit == unit).map(|(start, _)| *start);
        start.ok_or_else(|| format!("{unit} has no shim"))
    }

    fn step_clock(&mut self, step: &str) -> Result<(), String> {
        let (sign, span) = match step.split_at_checked(1) {
            Some(("+", span)) => (1, span),
            Some(("-", span)) => (-1, span),
            _ => return Err("a step is written as +1h or -1h".to_owned()),
        };
        let millis = i64::try_from(read_span(span)?.as_millis()).map_err(|_| "too far".to_owned())?;
        self.drive.world.change().wall_off += sign * millis;
        Ok(())
    }

    fn set_manner(&mut self, unit: &str, words: &[&str]) -> Result<(), String> {
        let unit = read_unit(unit)?;
        let mut world = self.drive.world.change();
        let manner = world.manners.entry(unit.clone()).or_insert_with(|| sample::manner(&unit));
        let count = |text: &str| text.parse::<u32>().map_err(|_| format!("{text} is no number"));
        match words {
            ["crashes", times] => manner.crashes = count(times)?,
            ["missing", times] => manner.missing = count(times)?,
            ["tasks-fail", times] => manner.task_failures = count(times)?,
            ["leaks"] => manner.leaks = true,
            ["slow", span] => manner.ready_after = read_span(span)?,
            ["stop-takes", span] => manner.stop_takes = read_span(span)?,
            _ => return Err("this is no manner".to_owned()),
        }
        Ok(())
    }

    fn open_window(&mut self, name: &str, span: Duration) -> Result<(), String> {
        let mut world = self.drive.world.change();
        let until = world.time + span;
        let window = match name {
            "disk full" => &mut world.windows.disk_full,
            "disk errors" => &mut world.windows.disk_errors,
            "probes fail" => &mut world.windows.probes_fail,
            "unreachable" => &mut world.windows.unreachable,
            "no ports" => &mut world.windows.no_ports,
            "looks fail" => &mut world.windows.looks_fail,
            "spawn fails" => &mut world.windows.spawn_fails,
            "stop ignored" => &mut world.windows.ignore_stop,
            _ => return Err("this is no command".to_owned()),
        };
        *window = until;
        Ok(())
    }

    fn expect(&self, unit: &str, expected: &str) -> Result<(), String> {
        let unit = read_unit(unit)?;
        let snapshot = self.drive.snapshot();
        let state = snapshot.iter().find(|status| status.unit == unit).map(|status| status.state);
        let seen = match state {
            Some(state) => serde_json::to_value(state).ok().and_then(|json| json.as_str().map(str::to_owned)),
            None => Some("gone".to_owned()),
        };
        match seen.as_deref() == Some(expected) {
            true => Ok(()),
            false => Err(format!("{unit} is {}, not {expected}", seen.unwrap_or_default())),
        }
    }

    fn pid(&self, unit: &UnitId) -> Option<Pid> {
        self.drive.snapshot().iter().find(|status| status.unit == *unit)?.pid
    }
}

fn read_unit(text: &str) -> Result<UnitId, String> {
    text.parse().map_err(|error: model::id::UnitIdError| error.to_string())
}

fn read_span(text: &str) -> Result<Duration, String> {
    text.parse::<Span>().map(Span::duration).map_err(|error| error.to_string())
}

fn read_part(text: &str) -> Result<Part, String> {
    let number = |text: &str| text.parse::<u8>().map_err(|_| format!("{text} is no version"));
    let (rest, completion) = match text.split_once('+') {
        Some((rest, completion)) => (rest, number(completion)?),
        None => (text, 1),
    };
    let (id, version) = match rest.split_once('@') {
        Some((id, version)) => (id, number(version)?),
        None => (rest, 1),
    };
    Ok(Part { id: read_unit(id)?, version, completion })
}
