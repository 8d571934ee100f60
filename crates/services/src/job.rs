//! What a schedule has dealt with, as the node stores it.
//!
//! Start reading at [`Record::look`]. When a run is due is for `plan::schedule` to say; this keeps the
//! count of runs and the moment up to which everything is dealt with.

use model::stack::Schedule;
use model::{RunNumber, ServiceName, TimeZoneName, Timestamp};
use plan::schedule::{Due, ScheduleError, Watch, due};

/// The version of [`Record`]'s stored form.
pub const RECORD_VERSION: u32 = 1;

/// Where one service's schedule stands. Stored before a run is started, so that a node that dies in
/// between starts no occurrence twice.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Record {
    /// The service.
    pub service: ServiceName,
    /// Up to when every occurrence is dealt with.
    pub considered: Timestamp,
    /// The last run that was started, by schedule or by hand; 0 before the first.
    pub last: RunNumber,
}

impl Record {
    /// The record of a service whose schedule begins `now`: nothing before is missed.
    pub const fn new(service: ServiceName, now: Timestamp) -> Self {
        Self { service, considered: now, last: RunNumber(0) }
    }

    /// What is due now, and the record that says it is dealt with. When a run is to start, its number is
    /// the new record's `last`.
    pub fn look(
        &self,
        schedule: &Schedule,
        zone: &TimeZoneName,
        now: Timestamp,
        watch: Watch,
        running: bool,
    ) -> Result<(Due, Self), ScheduleError> {
        let due = due(schedule, zone, self.considered, now, watch, running)?;
        let last = if due.start.is_some() { self.last.next() } else { self.last };
        Ok((due, Self { service: self.service.clone(), considered: due.considered, last }))
    }

    /// The record after a run that was asked for by hand; its number is the new `last`.
    #[must_use]
    pub fn run_by_hand(&self) -> Self {
        Self { last: self.last.next(), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_run_gets_the_next_number_and_is_not_due_again() {
        let schedule = Schedule { cron: "0 6 * * *".to_owned(), overlap: false };
        let zone = TimeZoneName::utc();
        let record = Record::new("digest".parse().unwrap(), at("2026-11-20T05:00:00Z")).run_by_hand();
        assert_eq!(record.last, RunNumber(1));
        let six = at("2026-11-20T06:00:00Z");
        let watch = Watch { began: record.considered, held_from: None };
        let (found, record) = record.look(&schedule, &zone, six, watch, false).unwrap();
        assert_eq!((found.start, record.last, record.considered), (Some(six), RunNumber(2), six));
        let (found, again) = record.look(&schedule, &zone, six, watch, false).unwrap();
        assert_eq!((found.start, &again), (None, &record));
        let (found, after) = record.look(&schedule, &zone, at("2026-11-21T12:00:00Z"), watch, false).unwrap();
        assert_eq!((found.start, found.missed.total(), after.last), (None, 1, RunNumber(2)));
    }
}
