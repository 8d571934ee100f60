//! When a scheduled service runs. Start reading at [`due`].
//!
//! A run is due once per occurrence of its cron expression in the stack's time zone. Runs that did not
//! happen are counted and said; they are never made up for in a burst, and one occurrence does not run
//! twice because the clock was set back: see [`STEP_BACK_MAX`] and [`Due::believed_from`].
//!
//! Where clocks change, an expression whose hour begins with `*` follows elapsed time: every hour has
//! its runs. One that names its hour runs once per day: in the hour that is skipped it runs as much
//! later, in the hour that comes twice it runs the first time (as Debian's cron does).

use std::fmt;
use std::time::Duration;

use cronexpr::jiff::civil::DateTime;
use cronexpr::jiff::tz::TimeZone;
use cronexpr::jiff::{Timestamp as Moment, ToSpan, Unit, Zoned};
use cronexpr::{Crontab, MakeTimestamp};
use model::stack::Schedule;
use model::{Span, TimeZoneName, Timestamp};

/// A run may start this much after its time; after that it counts as missed.
pub const LATE_MAX: Duration = Duration::from_secs(300);

/// Missed runs are counted up to here; the count then means "at least".
pub const MISSED_MAX: u32 = 1000;

/// A clock that is behind the last look by more than this was wrong then: the new time is believed. By
/// less, the runs between have happened. An expression that follows elapsed time bears less, the time
/// between two of its runs: who wants a run every ten minutes has none for an hour otherwise.
pub const STEP_BACK_MAX: Duration = Duration::from_secs(25 * 3600);

/// The shortest time there is between two moments.
const INSTANT: Duration = Duration::from_millis(1);

/// No clock change moves an occurrence by more than this.
const ZONE_SHIFT_HOURS_MAX: i64 = 3;

/// What is to be done about a schedule now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The occurrence for which a run starts now.
    pub start: Option<Timestamp>,
    /// Runs that did not and will not happen.
    pub missed: Missed,
    /// Up to when every occurrence is now dealt with: the next call's `considered`, to be stored before
    /// the run is started.
    pub considered: Timestamp,
    /// When to look again; `None` when the expression matches no date in the next four years.
    pub next: Option<Timestamp>,
    /// A clock that stands before this was set back so far that it is to be looked again at once.
    pub believed_from: Timestamp,
}

/// From when on runs could have been started, as far as whoever looks knows. By the clock as it is set now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// When it began to look.
    pub began: Timestamp,
    /// At which look it first found the service held, if it did and has dealt with no occurrence since.
    pub held_from: Option<Timestamp>,
}

/// Runs that did not happen, by what is known of why. The clock may have been set past them in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Missed {
    /// Due before whoever looks began to.
    pub unwatched: u32,
    /// Due when the service was held, or so shortly before that they could have been started still.
    pub held: u32,
    /// Not looked at within [`LATE_MAX`] of their time.
    pub late: u32,
    /// The last run was still going.
    pub overlapping: u32,
}

impl Missed {
    /// All of them.
    pub const fn total(self) -> u32 {
        self.unwatched.saturating_add(self.held).saturating_add(self.late).saturating_add(self.overlapping)
    }
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let late = format!("not started within {} of their time", Span::from(LATE_MAX));
        let held = format!("due while the service was held, or less than {} before", Span::from(LATE_MAX));
        let reasons = [
            (self.unwatched, "due before this node began"),
            (self.held, held.as_str()),
            (self.late, late.as_str()),
            (self.overlapping, "due while the run before was still going"),
        ];
        let known: Vec<_> = reasons.into_iter().filter(|(count, _)| *count > 0).collect();
        match known.as_slice() {
            [(_, reason)] => f.write_str(reason),
            several => {
                let parts: Vec<String> = several.iter().map(|(count, reason)| format!("{count} {reason}")).collect();
                f.write_str(&parts.join(", "))
            }
        }
    }
}

/// A schedule cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schedule {cron:?} cannot be read: {reason}")]
pub struct ScheduleError {
    cron: String,
    reason: String,
}

/// What is due at `now`, every occurrence up to `considered` having been dealt with. `running` says that
/// the last run still goes. For a schedule just made, `considered` is `now`.
pub fn due(
    schedule: &Schedule,
    zone: &TimeZoneName,
    considered: Timestamp,
    now: Timestamp,
    watch: Watch,
    running: bool,
) -> Result<Due, ScheduleError> {
    let calendar = Calendar::read(schedule, zone)?;
    let after = if now < calendar.believed_from(considered) { now } else { considered };
    let due = |start, missed, considered| {
        let (next, believed_from) = (calendar.next(considered), calendar.believed_from(considered));
        Ok(Due { start, missed, considered, next, believed_from })
    };
    if now <= after {
        return due(None, Missed::default(), after);
    }
    let (count, last) = calendar.between(after, now);
    let in_time = last.filter(|last| now.since(*last) <= LATE_MAX);
    let blocked = running && !schedule.overlap;
    let passed = match in_time {
        Some(last) => calendar.passed(after, last.before(INSTANT), count - 1, watch),
        None => calendar.passed(after, now, count, watch),
    };
    let missed = Missed { overlapping: u32::from(blocked && in_time.is_some()), ..passed };
    due(in_time.filter(|_| !blocked), missed, now)
}

/// The occurrences of an expression in a zone.
struct Calendar {
    crontab: Crontab,
    zone: TimeZone,
    /// Whether the hour is named, so that occurrences are times of the day rather than elapsed time.
    by_the_clock: bool,
}

impl Calendar {
    fn read(schedule: &Schedule, zone: &TimeZoneName) -> Result<Self, ScheduleError> {
        let unreadable = |reason: String| ScheduleError { cron: schedule.cron.clone(), reason };
        let fields: Vec<&str> = schedule.cron.split_whitespace().collect();
        let [_, hour, _, _, _] = fields.as_slice() else {
            return Err(unreadable("a schedule has five fields: minute, hour, day, month, day of the week".to_owned()));
        };
        let by_the_clock = !hour.starts_with('*');
        let read_in = if by_the_clock { "UTC" } else { zone.as_str() };
        let crontab = cronexpr::parse_crontab(&format!("{} {read_in}", fields.join(" ")))
            .map_err(|error| unreadable(last_line(&error.to_string())))?;
        let zone = TimeZone::get(zone.as_str()).map_err(|error| unreadable(error.to_string()))?;
        Ok(Self { crontab, zone, by_the_clock })
    }

    /// Why the `count` occurrences after `after` and not after `until` have passed.
    fn passed(&self, after: Timestamp, until: Timestamp, count: u32, watch: Watch) -> Missed {
        let among = |after: Timestamp, until: Timestamp| if after < until { self.between(after, until).0 } else { 0 };
        let unwatched = among(after, until.min(watch.began.before(INSTANT))).min(count);
        let startable = |held: Timestamp| held.before(LATE_MAX).before(INSTANT);
        let held =
            watch.held_from.map_or(0, |held| among(after.max(watch.began.before(INSTANT)).max(startable(held)), until));
        let held = held.min(count - unwatched);
        Missed { unwatched, held, late: count - unwatched - held, overlapping: 0 }
    }

    /// How many occurrences lie after `after` and not after `until`, and the last of them. Of more than
    /// [`MISSED_MAX`] only the recent ones are looked at for the last.
    fn between(&self, after: Timestamp, until: Timestamp) -> (u32, Option<Timestamp>) {
        let found = self.list(after, until);
        let count = u32::try_from(found.len()).unwrap_or(MISSED_MAX);
        if count < MISSED_MAX {
            return (count, found.last().copied());
        }
        let recent = self.list(until.before(LATE_MAX), until);
        (MISSED_MAX, recent.last().copied())
    }

    /// The first [`MISSED_MAX`] occurrences in a window, in order.
    fn list(&self, after: Timestamp, until: Timestamp) -> Vec<Timestamp> {
        let mut found = Vec::new();
        let mut cursor = self.start_of_search(after);
        let end = self.end_of_search(until);
        while found.len() < MISSED_MAX as usize {
            let Some(occurrence) = self.step(cursor).filter(|it| *it <= end) else { break };
            cursor = occurrence;
            found.extend(self.moment(occurrence).filter(|it| after < *it && *it <= until));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The first occurrence after a moment.
    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let mut cursor = self.start_of_search(after);
        let mut first: Option<Timestamp> = None;
        let mut end = None;
        // A day that skips an hour puts occurrences out of order, never by more than that hour: those
        // that follow the first one closely may come before it.
        while let Some(occurrence) = self.step(cursor) {
            if end.is_some_and(|end| occurrence > end) {
                break;
            }
            cursor = occurrence;
            if let Some(moment) = self.moment(occurrence).filter(|it| *it > after) {
                first = Some(first.map_or(moment, |first| first.min(moment)));
                if !self.by_the_clock {
                    break;
                }
                // Without an end where the calendar has one, which the search reaches too.
                end = end.or_else(|| occurrence.checked_add(ZONE_SHIFT_HOURS_MAX.hours()).ok());
            }
        }
        first
    }

    /// A clock before this was wrong at the last look, which dealt with everything up to `considered`.
    fn believed_from(&self, considered: Timestamp) -> Timestamp {
        considered.before(match self.by_the_clock {
            true => STEP_BACK_MAX,
            false => self.pause(considered).min(STEP_BACK_MAX),
        })
    }

    /// The longer one of the time until the next occurrence and the time from there to the one after.
    fn pause(&self, after: Timestamp) -> Duration {
        let Some(next) = self.next(after) else { return Duration::MAX };
        let following = self.next(next).map_or(Duration::MAX, |following| following.since(next));
        next.since(after).max(following)
    }

    /// The expression's next match. For one that goes by the clock, moments stand for times of the day:
    /// the clock's face read as if it were UTC.
    fn step(&self, cursor: Moment) -> Option<Moment> {
        // It fails where there is none up to the end of the calendar.
        self.crontab.find_next(MakeTimestamp(cursor)).ok().map(|next| next.timestamp())
    }

    fn start_of_search(&self, after: Timestamp) -> Moment {
        let moment = to_moment(after);
        match self.by_the_clock {
            false => moment,
            true => {
                let face = self.face(moment);
                face.checked_sub(ZONE_SHIFT_HOURS_MAX.hours()).unwrap_or(face)
            }
        }
    }

    fn end_of_search(&self, until: Timestamp) -> Moment {
        let moment = to_moment(until);
        match self.by_the_clock {
            false => moment,
            true => {
                let face = self.face(moment);
                face.checked_add(ZONE_SHIFT_HOURS_MAX.hours()).unwrap_or(face)
            }
        }
    }

    /// The time of day in the zone, read as if it were UTC.
    fn face(&self, moment: Moment) -> Moment {
        let civil: DateTime = moment.to_zoned(self.zone.clone()).datetime();
        TimeZone::UTC.to_timestamp(civil).unwrap_or(moment)
    }

    /// When an occurrence is. A time of day that is skipped counts as much later, one that comes twice
    /// counts the first time. None at the ends of the calendar.
    fn moment(&self, occurrence: Moment) -> Option<Timestamp> {
        let zoned: Zoned = match self.by_the_clock {
            false => occurrence.to_zoned(self.zone.clone()),
            true => occurrence.to_zoned(TimeZone::UTC).datetime().to_zoned(self.zone.clone()).ok()?,
        };
        let whole = zoned.timestamp().round(Unit::Second).ok()?;
        Some(Timestamp::from_millis(whole.as_millisecond()))
    }
}

/// What is wrong: the line under cronexpr's picture of the expression.
fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or(text).trim_start_matches([' ', '^']).to_owned()
}

fn to_moment(timestamp: Timestamp) -> Moment {
    Moment::from_millisecond(timestamp.as_millis()).unwrap_or(Moment::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::{any, prop, proptest};
    use proptest::{prop_assert, prop_assert_eq};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn schedule(cron: &str) -> Schedule {
        Schedule { cron: cron.to_owned(), overlap: false }
    }

    /// By somebody who was there all the time.
    fn always(since: Timestamp) -> Watch {
        Watch { began: since, held_from: None }
    }

    fn check(cron: &str, zone: &str, considered: &str, now: &str, running: bool, expected: &Expect) {
        let watch = always(at(considered));
        let due = due(&schedule(cron), &zone.parse().unwrap(), at(considered), at(now), watch, running).unwrap();
        let start = due.start.map_or("no start".to_owned(), |it| format!("start {it}"));
        let next = due.next.map_or("never".to_owned(), |it| it.to_string());
        let (late, overlapping) = (due.missed.late, due.missed.overlapping);
        assert_eq!((due.missed.unwatched, due.missed.held), (0, 0));
        expected.assert_eq(&format!("{start}, missed {late}+{overlapping}, next {next}"));
    }

    /// Every moment at which a node that looks exactly when told to would start a run.
    fn starts(cron: &str, zone: &str, from: &str, until: &str) -> String {
        let (mut now, until) = (at(from), at(until));
        let mut considered = now;
        let mut found = Vec::new();
        while now <= until {
            let watch = always(considered);
            let due = due(&schedule(cron), &zone.parse().unwrap(), considered, now, watch, false).unwrap();
            assert_eq!(due.missed, Missed::default());
            found.extend(due.start.map(|it| it.to_string().replace(":00.000Z", "")));
            considered = due.considered;
            now = due.next.unwrap();
        }
        found.join(" ")
    }

    #[test]
    fn a_run_starts_at_its_time() {
        check(
            "0 6 * * MON",
            "UTC",
            "2026-11-20T00:00:00Z",
            "2026-11-20T12:00:00Z",
            false,
            &expect!["no start, missed 0+0, next 2026-11-23T06:00:00.000Z"],
        );
        check(
            "0 6 * * MON",
            "UTC",
            "2026-11-20T12:00:00Z",
            "2026-11-23T06:00:00Z",
            false,
            &expect!["start 2026-11-23T06:00:00.000Z, missed 0+0, next 2026-11-30T06:00:00.000Z"],
        );
        check(
            "0 6 * * MON",
            "UTC",
            "2026-11-23T06:00:00Z",
            "2026-11-23T06:00:00.500Z",
            false,
            &expect!["no start, missed 0+0, next 2026-11-30T06:00:00.000Z"],
        );
    }

    #[test]
    fn a_late_run_starts_within_the_grace_and_is_missed_after() {
        check(
            "0 6 * * *",
            "UTC",
            "2026-11-20T05:59:00Z",
            "2026-11-20T06:05:00Z",
            false,
            &expect!["start 2026-11-20T06:00:00.000Z, missed 0+0, next 2026-11-21T06:00:00.000Z"],
        );
        check(
            "0 6 * * *",
            "UTC",
            "2026-11-20T05:59:00Z",
            "2026-11-20T06:05:01Z",
            false,
            &expect!["no start, missed 1+0, next 2026-11-21T06:00:00.000Z"],
        );
    }

    #[test]
    fn missed_runs_are_counted_and_never_burst() {
        check(
            "*/10 * * * *",
            "UTC",
            "2026-11-20T00:00:00Z",
            "2026-11-20T12:01:00Z",
            false,
            &expect!["start 2026-11-20T12:00:00.000Z, missed 71+0, next 2026-11-20T12:10:00.000Z"],
        );
        check(
            "* * * * *",
            "UTC",
            "2020-01-01T00:00:00Z",
            "2026-11-20T12:01:30Z",
            false,
            &expect!["start 2026-11-20T12:01:00.000Z, missed 999+0, next 2026-11-20T12:02:00.000Z"],
        );
        check(
            "0 6 * * *",
            "UTC",
            "2000-01-01T00:00:00Z",
            "2026-11-20T06:00:01Z",
            false,
            &expect!["start 2026-11-20T06:00:00.000Z, missed 999+0, next 2026-11-21T06:00:00.000Z"],
        );
    }

    #[test]
    fn a_run_waits_for_none_and_overlaps_only_when_asked() {
        check(
            "0 6 * * *",
            "UTC",
            "2026-11-20T05:00:00Z",
            "2026-11-20T06:00:00Z",
            true,
            &expect!["no start, missed 0+1, next 2026-11-21T06:00:00.000Z"],
        );
        let overlap = Schedule { cron: "0 6 * * *".to_owned(), overlap: true };
        let zone = TimeZoneName::utc();
        let (five, six) = (at("2026-11-20T05:00:00Z"), at("2026-11-20T06:00:00Z"));
        let due = due(&overlap, &zone, five, six, always(five), true).unwrap();
        assert_eq!((due.start, due.missed.total()), (Some(six), 0));
    }

    /// What is said of hourly runs that are looked at again at 12:02, those up to 06:00 having been dealt with.
    fn check_reasons(began: &str, held_from: Option<&str>, running: bool, expected: &Expect) {
        let on_the_day = |time: &str| at(&format!("2026-11-20T{time}Z"));
        let watch = Watch { began: on_the_day(began), held_from: held_from.map(on_the_day) };
        let (considered, now) = (on_the_day("06:00:00"), on_the_day("12:02:00"));
        let due = due(&schedule("0 * * * *"), &TimeZoneName::utc(), considered, now, watch, running).unwrap();
        expected.assert_eq(&due.missed.to_string());
    }

    #[test]
    fn of_missed_runs_only_what_is_known_is_said() {
        check_reasons("05:00:00", None, false, &expect!["not started within 5m of their time"]);
        check_reasons("12:01:00", None, false, &expect!["due before this node began"]);
        check_reasons(
            "05:00:00",
            Some("07:05:00"),
            false,
            &expect!["due while the service was held, or less than 5m before"],
        );
        check_reasons(
            "05:00:00",
            Some("07:05:01"),
            false,
            &expect!["4 due while the service was held, or less than 5m before, 1 not started within 5m of their time"],
        );
        // Whether the service was held before this node began is not known to it.
        check_reasons(
            "09:00:00",
            Some("09:00:01"),
            true,
            &expect![
                "2 due before this node began, 3 due while the service was held, or less than 5m before, 1 due while the run before was still going"
            ],
        );
    }

    #[test]
    fn a_clock_that_steps_back_runs_nothing_twice() {
        check(
            "0 12 * * *",
            "UTC",
            "2026-11-20T12:00:00Z",
            "2026-11-20T11:00:00Z",
            false,
            &expect!["no start, missed 0+0, next 2026-11-21T12:00:00.000Z"],
        );
        check(
            "*/10 * * * *",
            "UTC",
            "2026-11-20T12:00:00Z",
            "2026-11-20T11:50:00Z",
            false,
            &expect!["no start, missed 0+0, next 2026-11-20T12:10:00.000Z"],
        );
        check(
            "0 */6 * * *",
            "UTC",
            "2026-11-20T12:00:00Z",
            "2026-11-20T11:00:00Z",
            false,
            &expect!["no start, missed 0+0, next 2026-11-20T18:00:00.000Z"],
        );
    }

    #[test]
    fn a_clock_that_was_far_ahead_holds_no_run_up() {
        check(
            "0 6 * * *",
            "UTC",
            "2036-11-20T12:00:00Z",
            "2026-11-20T11:10:00Z",
            false,
            &expect!["no start, missed 0+0, next 2026-11-21T06:00:00.000Z"],
        );
        check(
            "*/10 * * * *",
            "UTC",
            "2026-11-20T12:00:00Z",
            "2026-11-20T11:00:00Z",
            false,
            &expect!["no start, missed 0+0, next 2026-11-20T11:10:00.000Z"],
        );
        check(
            "*/10 * * * *",
            "UTC",
            "2026-11-20T12:03:00Z",
            "2026-11-20T11:52:59Z",
            false,
            &expect!["no start, missed 0+0, next 2026-11-20T12:00:00.000Z"],
        );
    }

    #[test]
    fn a_named_hour_runs_once_on_the_days_clocks_change() {
        let berlin = "Europe/Berlin";
        expect!["2026-03-28T01:30 2026-03-29T01:30 2026-03-30T00:30"].assert_eq(&starts(
            "30 2 * * *",
            berlin,
            "2026-03-27T12:00:00Z",
            "2026-03-30T12:00:00Z",
        ));
        expect!["2026-10-24T00:30 2026-10-25T00:30 2026-10-26T01:30"].assert_eq(&starts(
            "30 2 * * *",
            berlin,
            "2026-10-23T12:00:00Z",
            "2026-10-26T12:00:00Z",
        ));
        expect!["2026-03-29T01:00 2026-03-29T01:30"].assert_eq(&starts(
            "0,30 2,3 * * *",
            berlin,
            "2026-03-28T12:00:00Z",
            "2026-03-29T12:00:00Z",
        ));
    }

    #[test]
    fn half_an_hour_that_is_skipped_changes_the_order() {
        let starts = starts("15,30 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-04T00:00:00Z");
        expect!["2026-10-03T15:30 2026-10-03T15:45"].assert_eq(&starts);
    }

    #[test]
    fn every_hour_has_its_run_on_the_days_clocks_change() {
        let berlin = "Europe/Berlin";
        expect!["2026-03-28T23:15 2026-03-29T00:15 2026-03-29T01:15 2026-03-29T02:15"].assert_eq(&starts(
            "15 * * * *",
            berlin,
            "2026-03-28T23:00:00Z",
            "2026-03-29T03:00:00Z",
        ));
        expect!["2026-10-24T22:15 2026-10-24T23:15 2026-10-25T00:15 2026-10-25T01:15 2026-10-25T02:15"]
            .assert_eq(&starts("15 * * * *", berlin, "2026-10-24T22:00:00Z", "2026-10-25T03:00:00Z"));
    }

    #[test]
    fn the_zone_decides_what_six_is() {
        check(
            "0 6 * * *",
            "Asia/Tokyo",
            "2026-11-20T00:00:00Z",
            "2026-11-20T12:00:00Z",
            false,
            &expect!["no start, missed 0+0, next 2026-11-20T21:00:00.000Z"],
        );
    }

    #[test]
    fn a_date_that_never_comes_has_no_next() {
        check(
            "0 0 30 2 *",
            "UTC",
            "2026-11-20T00:00:00Z",
            "2026-11-20T12:00:00Z",
            false,
            &expect!["no start, missed 0+0, next never"],
        );
    }

    proptest! {
        /// A node that looks at random times, with a clock that jumps, never starts an occurrence twice
        /// unless the clock went back past what is believed; while the clock only goes forward, each
        /// occurrence is started or said to be missed.
        #[test]
        fn no_occurrence_runs_twice_or_is_lost(
            cron in prop::sample::select(vec!["*/7 * * * *", "30 2 * * *", "0 */6 * * *", "15 1,2,3 * * SUN"]),
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe"]),
            jumps in prop::collection::vec((-7_200_i64..10_800, any::<bool>()), 1..80),
            forward_only in any::<bool>(),
            began in 0_u64..400_000,
            held in prop::option::of(0_u64..400_000),
        ) {
            let begin = at("2026-10-24T12:00:00Z");
            let zone: TimeZoneName = zone.parse().unwrap();
            let later = |seconds| begin.after(Duration::from_secs(seconds));
            let watch = Watch { began: later(began), held_from: held.map(later) };
            let (mut now, mut considered) = (begin, begin);
            let mut believed_from = begin.before(STEP_BACK_MAX);
            let (mut started, mut missed) = (Vec::new(), 0);
            for (seconds, running) in jumps {
                let seconds = if forward_only { seconds.abs() } else { seconds };
                now = Timestamp::from_millis(now.as_millis() + seconds * 1000);
                let due = due(&schedule(cron), &zone, considered, now, watch, running).unwrap();
                if now < believed_from {
                    started.clear();
                    prop_assert_eq!(due.considered, now);
                }
                started.extend(due.start);
                prop_assert!(started.is_sorted_by(|one, next| one < next), "{started:?}");
                missed += due.missed.total();
                (considered, believed_from) = (due.considered, due.believed_from);
                prop_assert!(considered.since(believed_from) <= STEP_BACK_MAX);
            }
            if forward_only {
                let (all, _) = Calendar::read(&schedule(cron), &zone).unwrap().between(begin, now);
                // The whole stretch is counted to a bound; a look covers far less.
                prop_assert_eq!((started.len() + missed as usize).min(MISSED_MAX as usize), all as usize);
            }
        }
    }

    #[test]
    fn an_unreadable_schedule_says_why() {
        let now = at("2026-11-20T00:00:00Z");
        let error = |cron: &str| {
            due(&schedule(cron), &TimeZoneName::utc(), now, now, always(now), false).unwrap_err().to_string()
        };
        expect![[r#"the schedule "0 6 * *" cannot be read: a schedule has five fields: minute, hour, day, month, day of the week"#]].assert_eq(&error("0 6 * *"));
        expect![[r#"the schedule "0 25 * * *" cannot be read: value must be in range 0..=23; found 25"#]]
            .assert_eq(&error("0 25 * * *"));
    }
}
