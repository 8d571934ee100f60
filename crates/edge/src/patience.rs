//! How long an exchange waits, and for whom. Start reading at [`Patience`].
//!
//! At each moment it waits for one thing, so who is too slow is never in doubt. A service has its time whole again with every
//! byte. A client has to keep up a least rate: its time runs only while it is waited for, and each byte buys some more.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::answer::Reason;
use crate::settings::TimeLimits;

/// What an exchange waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// That the client sends more of the request.
    Request,
    /// That the service takes the request.
    RequestTaken,
    /// That the service's answer begins, the request being sent.
    Head,
    /// That the service sends more of the answer.
    Answer,
    /// That the client takes the answer.
    AnswerTaken,
}

impl Awaited {
    /// Why an exchange ends that has waited for this too long.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::Request => Reason::BodyTimeout,
            Self::RequestTaken | Self::Head | Self::Answer => Reason::UpstreamTimeout,
            Self::AnswerTaken => Reason::AnswerNotTaken,
        }
    }
}

/// The time that is left for each thing that may be waited for.
#[derive(Debug)]
pub(crate) struct Patience {
    limits: TimeLimits,
    request: Duration,
    request_taken: Duration,
    head: Duration,
    answer: Duration,
    answer_taken: Duration,
    awaited: Awaited,
    /// Since when that is waited for.
    since: Duration,
}

impl Patience {
    /// Of a request; the head of its answer may take so long once the request is sent.
    pub(crate) fn new(limits: TimeLimits, head: Duration) -> Self {
        let (grace, stall) = (limits.slow_grace.duration(), limits.stall.duration());
        Self {
            limits,
            request: grace,
            request_taken: stall,
            head,
            answer: limits.answer_pause.duration(),
            answer_taken: grace,
            awaited: Awaited::RequestTaken,
            since: Duration::ZERO,
        }
    }

    /// An exchange begins: what was before it, such as connecting, is nobody's time in here.
    pub(crate) fn begin(&mut self, now: Duration) {
        self.since = now;
    }

    /// What is waited for.
    pub(crate) fn awaited(&self) -> Awaited {
        self.awaited
    }

    /// Waits for this from now on, and says until when.
    pub(crate) fn wait_for(&mut self, awaited: Awaited, now: Duration) -> Duration {
        if awaited != self.awaited {
            self.settle(now);
            self.awaited = awaited;
        }
        self.since.saturating_add(*self.left(awaited))
    }

    /// There was progress with this, by so many bytes.
    pub(crate) fn note(&mut self, progress: Awaited, bytes: usize, now: Duration) {
        self.settle(now);
        let limits = self.limits;
        let left = self.left(progress);
        *left = match progress {
            Awaited::Request | Awaited::AnswerTaken => {
                left.saturating_add(time_for(bytes, limits.least_bytes_per_second)).min(limits.stall.duration())
            }
            Awaited::RequestTaken => limits.stall.duration(),
            Awaited::Head => *left,
            Awaited::Answer => limits.answer_pause.duration(),
        };
        // A service that answers before it takes the request goes on all the same.
        if progress == Awaited::Answer {
            self.request_taken = limits.stall.duration();
        }
    }

    /// Takes the time that has passed from what was waited for.
    fn settle(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.since);
        let left = self.left(self.awaited);
        *left = left.saturating_sub(passed);
        self.since = now;
    }

    fn left(&mut self, awaited: Awaited) -> &mut Duration {
        match awaited {
            Awaited::Request => &mut self.request,
            Awaited::RequestTaken => &mut self.request_taken,
            Awaited::Head => &mut self.head,
            Awaited::Answer => &mut self.answer,
            Awaited::AnswerTaken => &mut self.answer_taken,
        }
    }
}

/// How long so many bytes may take at the least rate.
fn time_for(bytes: usize, per_second: NonZeroU32) -> Duration {
    const MICROS: u64 = 1_000_000;
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    Duration::from_micros(bytes.saturating_mul(MICROS) / u64::from(per_second.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD_SECONDS: u64 = 30;

    fn patience() -> Patience {
        Patience::new(TimeLimits::default(), seconds(HEAD_SECONDS))
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// The second at which a client is given up that sends so many bytes each second, if before the hundred-thousandth.
    fn given_up(bytes_per_second: usize) -> Option<u64> {
        let mut patience = patience();
        (0..100_000).find(|second| {
            let late = patience.wait_for(Awaited::Request, seconds(*second)) <= seconds(*second);
            patience.note(Awaited::Request, bytes_per_second, seconds(*second));
            late
        })
    }

    #[test]
    fn a_client_has_to_keep_up_the_least_rate() {
        assert_eq!((given_up(0), given_up(1), given_up(250)), (Some(20), Some(21), Some(40)));
        assert_eq!((given_up(500), given_up(1_000_000)), (None, None));
    }

    #[test]
    fn haste_buys_no_more_than_a_stall() {
        let mut patience = patience();
        patience.note(Awaited::Request, 1 << 30, Duration::ZERO);
        assert_eq!(patience.wait_for(Awaited::Request, seconds(1)), seconds(61));
    }

    #[test]
    fn time_runs_only_for_whom_is_waited_for() {
        let mut patience = patience();
        assert_eq!(patience.wait_for(Awaited::Request, Duration::ZERO), seconds(20));
        // Ten seconds of its twenty are gone when the service is slow for fifty.
        assert_eq!(patience.wait_for(Awaited::RequestTaken, seconds(10)), seconds(70));
        assert_eq!(patience.wait_for(Awaited::Request, seconds(60)), seconds(70));
        // The service's time for its head begins when it has the request, and goes on at another replica.
        assert_eq!(patience.wait_for(Awaited::Head, seconds(65)), seconds(65 + HEAD_SECONDS));
        assert_eq!(patience.wait_for(Awaited::RequestTaken, seconds(75)), seconds(75 + 10));
        assert_eq!(patience.wait_for(Awaited::Head, seconds(80)), seconds(80 + HEAD_SECONDS - 10));
    }

    #[test]
    fn a_stream_goes_on_while_it_says_something() {
        let mut patience = patience();
        for minute in (0..100_000).step_by(4) {
            let now = seconds(minute * 60);
            assert_eq!(patience.wait_for(Awaited::Answer, now), now + seconds(300));
            patience.note(Awaited::Answer, 1, now + seconds(240));
        }
    }
}
