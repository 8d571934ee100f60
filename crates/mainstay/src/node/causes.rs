//! Which journal entry led to the next: start reading at [`Causes::of`].
//!
//! What a person asked for leads to what is started and stopped until the next thing is asked for; the end of
//! a unit leads to its restart. Only what happens within one node's life is linked.

use std::collections::BTreeMap;

use model::{EntryId, Happening, UnitId};

/// What was journaled last of what can lead to something.
#[derive(Debug, Default)]
pub(crate) struct Causes {
    /// The last change of what is wanted.
    change: Option<EntryId>,
    /// Of each unit, how it last failed or was asked to stop.
    of_units: BTreeMap<UnitId, EntryId>,
}

impl Causes {
    /// The entry that led to this, if it is known.
    pub(crate) fn of(&self, what: &Happening) -> Option<EntryId> {
        match what {
            Happening::ReleaseMade { .. }
            | Happening::UnitStarted { .. }
            | Happening::UnitStopping { .. }
            | Happening::ResourcePrepared { .. }
            | Happening::NodeStopped => self.change,
            Happening::UnitRestarted { unit, .. }
            | Happening::CrashLoop { unit }
            | Happening::UnitKilled { unit }
            | Happening::UnitExited { unit } => self.of_units.get(unit).copied(),
            _ => None,
        }
    }

    /// Notes what was journaled.
    pub(crate) fn note(&mut self, id: EntryId, what: &Happening) {
        match what {
            Happening::Applied { .. }
            | Happening::DownRequested
            | Happening::RestartRequested { .. }
            | Happening::RunRequested { .. } => self.change = Some(id),
            Happening::UnitExited { unit }
            | Happening::UnitUnready { unit }
            | Happening::UnitStopping { unit }
            | Happening::UnitKilled { unit } => drop(self.of_units.insert(unit.clone(), id)),
            // It is well again, or on its way: what led to that is behind it.
            Happening::UnitReady { unit } | Happening::UnitStarted { unit } => drop(self.of_units.remove(unit)),
            _ => {}
        }
    }

    /// Forgets the units that are not among these, so that this does not grow with time.
    pub(crate) fn keep(&mut self, is_known: impl Fn(&UnitId) -> bool) {
        self.of_units.retain(|unit, _| is_known(unit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(text: &str) -> UnitId {
        text.parse().unwrap()
    }

    #[test]
    fn an_end_leads_to_the_restart_and_a_call_to_the_start() {
        let mut causes = Causes::default();
        assert_eq!(causes.of(&Happening::UnitStarted { unit: unit("api.1.1") }), None);
        causes.note(EntryId(3), &Happening::Applied { steps: 1 });
        assert_eq!(causes.of(&Happening::UnitStarted { unit: unit("api.1.1") }), Some(EntryId(3)));
        causes.note(EntryId(7), &Happening::UnitExited { unit: unit("api.1.1") });
        let restarted = |name| Happening::UnitRestarted { unit: unit(name), attempt: 1 };
        assert_eq!(causes.of(&restarted("api.1.1")), Some(EntryId(7)));
        assert_eq!(causes.of(&restarted("api.1.2")), None);
        causes.note(EntryId(9), &Happening::UnitReady { unit: unit("api.1.1") });
        assert_eq!(causes.of(&restarted("api.1.1")), None);
    }

    #[test]
    fn units_that_are_gone_are_forgotten() {
        let mut causes = Causes::default();
        causes.note(EntryId(1), &Happening::UnitExited { unit: unit("db") });
        causes.keep(|known| *known != unit("db"));
        assert_eq!(causes.of(&Happening::CrashLoop { unit: unit("db") }), None);
    }
}
