//! How a node stops everything. Start reading at [`Node::heed_down_request`]; what of it outlives a node is
//! [`DownRequest`].

use model::cause::chain;
use model::{Happening, UnitId};
use supervise::supervisor::{Notice, State, UnitStatus};
use sys::System;

use super::agenda::Agenda;
use super::down_request::{DownRequest, Duty, Purpose};
use super::troubles::About;
use super::{Node, StartError};

impl Node {
    /// Goes on with a stop that an earlier node did not bring to its end, unless a file is applied first where this node
    /// was started for one.
    pub(super) fn heed_down_request(&mut self) -> Result<(), StartError> {
        let (boot, now) = (self.supervisor.system().boot(), self.now().steady);
        let recorded = DownRequest::recorded(&mut self.store.records)?;
        let duty = DownRequest::duty(recorded.as_ref(), self.purpose, &boot, now);
        self.stops_unless_applied = duty != Duty::None;
        if duty == Duty::Stop {
            self.go_on_with_stop();
        }
        Ok(())
    }

    pub(super) fn go_down(&mut self, reason: &str) {
        if self.stopping {
            return;
        }
        let (what, reason) = (Happening::DownRequested, reason.to_owned());
        self.backlog.push(Notice { at: self.now().wall, what, reason, evidence: Vec::new() });
        self.stop_for_good();
    }

    /// Stops everything, also where this node does not live to its end.
    pub(super) fn stop_for_good(&mut self) {
        let noted = DownRequest::note(&mut self.store.records, &self.supervisor.system().boot());
        if let Err(error) = noted {
            // On a full disk everything is to stop all the same.
            self.troubles.note(About::Down, chain(&error));
        }
        self.stop_everything();
    }

    pub(super) fn note_down_done(&mut self) {
        let (now, records) = (self.now().steady, &mut self.store.records);
        let noted = match self.purpose {
            Purpose::Apply if !self.stops_unless_applied => DownRequest::withdraw(records),
            Purpose::GoOn => DownRequest::withdraw(records),
            Purpose::Apply | Purpose::Stop => {
                DownRequest::note_done_for_another(records, &self.supervisor.system().boot(), now)
            }
        };
        // Where it cannot be written, the next node has it to do once more: nothing runs then, and it ends at once.
        drop(noted);
    }

    /// Stops everything; nothing else waits for its time any more.
    pub(super) fn stop_everything(&mut self) {
        self.stopping = true;
        self.told = Default::default();
        self.awaits_file_until = None;
        self.agenda = Agenda::default();
        self.go_on_stopping();
    }

    /// Stops the edge, and everything else once the edge has finished what was under way: until then that may be needed.
    pub(super) fn go_on_stopping(&mut self) {
        let units = self.supervisor.snapshot();
        if !units.iter().any(|unit| unit.unit == UnitId::Edge && unit.state != State::Down) {
            return self.supervisor.stop_all();
        }
        let lives = |unit: &UnitStatus| unit.pid.is_some() || unit.state == State::Finding;
        let others = units.into_iter().filter(|unit| unit.unit != UnitId::Edge && lives(unit));
        self.supervisor.want(Vec::new(), &others.map(|unit| unit.unit).collect());
    }

    pub(super) fn go_on_with_stop(&mut self) {
        if self.stops_unless_applied {
            self.go_down("it was asked for before, and the node that was asked did not live to its end");
        }
    }
}
