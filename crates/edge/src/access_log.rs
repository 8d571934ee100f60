//! The access log: one JSON object per request. Start reading at [`AccessLog`].
//!
//! Threads hand over records and go on; one thread formats and writes them. When it cannot keep up, records are counted
//! instead of kept, and the count is written: a client never waits for the log.

use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use crate::serve::Record;

/// Records that wait to be written.
pub(crate) const WAITING_MAX: usize = 16_384;
/// Bytes that are gathered for one write.
const WRITE_BYTES: usize = 64 << 10;
/// How long a line may wait for others to be written with, whether they come or not.
const WAIT_MAX: Duration = Duration::from_millis(200);

/// How often it looks for more to write with a line. At half a million requests a second, a third of the records that may wait come
/// in between.
const LOOK_PERIOD: Duration = Duration::from_millis(10);

/// Where threads put their records. Clones share it.
#[derive(Clone)]
pub(crate) struct AccessLog {
    records: SyncSender<Record>,
    lost: Arc<AtomicU64>,
}

/// The records that wait to be written.
pub(crate) struct Waiting {
    records: Receiver<Record>,
    lost: Arc<AtomicU64>,
}

impl AccessLog {
    /// A log, and the end that is written from.
    pub(crate) fn new() -> (Self, Waiting) {
        let (records, waiting) = sync_channel(WAITING_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        (Self { records, lost: Arc::clone(&lost) }, Waiting { records: waiting, lost })
    }

    /// Hands a record over.
    pub(crate) fn note(&self, record: Record) {
        if self.records.try_send(record).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Waiting {
    /// Writes records until no thread is left that could hand one over.
    pub(crate) fn write_to(&self, mut out: impl Write) -> std::io::Result<()> {
        let mut lines = Vec::with_capacity(WRITE_BYTES);
        loop {
            let ended = self.gather(&mut lines)?;
            out.write_all(&lines)?;
            out.flush()?;
            lines.clear();
            if ended {
                return Ok(());
            }
        }
    }

    /// Formats what is handed over until it is enough for one write, or the first line has waited long enough. `true` when
    /// there will be no more.
    fn gather(&self, lines: &mut Vec<u8>) -> std::io::Result<bool> {
        let ended = match self.records.recv_timeout(WAIT_MAX) {
            Ok(first) => {
                write_line(lines, &first)?;
                self.gather_more(lines)?
            }
            Err(why) => why == RecvTimeoutError::Disconnected,
        };
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            writeln!(lines, "{{\"lost\":{lost}}}")?;
        }
        Ok(ended)
    }

    /// The same, behind a first line. It looks now and then: whoever hands a record to a thread that waits for it has to wake
    /// that thread, with every request.
    fn gather_more(&self, lines: &mut Vec<u8>) -> std::io::Result<bool> {
        let due = sys::clock::now().steady + WAIT_MAX;
        while lines.len() < WRITE_BYTES {
            match self.records.try_recv() {
                Ok(record) => write_line(lines, &record)?,
                Err(TryRecvError::Empty) if sys::clock::now().steady < due => std::thread::sleep(LOOK_PERIOD),
                Err(why) => return Ok(why == TryRecvError::Disconnected),
            }
        }
        Ok(false)
    }
}

fn write_line(lines: &mut Vec<u8>, record: &Record) -> std::io::Result<()> {
    serde_json::to_writer(&mut *lines, &Line::of(record))?;
    lines.push(b'\n');
    Ok(())
}

/// A line; what does not apply is left out.
#[derive(serde::Serialize)]
struct Line<'r> {
    time: String,
    client: IpAddr,
    method: &'r str,
    host: &'r str,
    path: &'r str,
    status: u16,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<u64>,
    /// Milliseconds, to the microsecond.
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replica: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'r str>,
    #[serde(skip_serializing_if = "is_once")]
    tries: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gone: bool,
    request_id: &'r str,
    #[serde(skip_serializing_if = "str::is_empty")]
    trace_id: &'r str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_once(tries: &u8) -> bool {
    *tries <= 1
}

#[expect(clippy::cast_precision_loss, reason = "so many microseconds as are told apart make 285 years")]
fn millis(took: Duration) -> f64 {
    took.as_micros() as f64 / 1000.0
}

impl<'r> Line<'r> {
    fn of(record: &'r Record) -> Self {
        Self {
            time: record.at.to_string(),
            client: record.client,
            method: &record.method,
            host: &record.host,
            path: &record.path,
            status: record.status,
            bytes: record.sent,
            received: record.received,
            duration_ms: millis(record.took),
            service: record.service.as_ref().map(|service| service.as_str()),
            release: record.replica.map(|(release, _)| release.0),
            replica: record.replica.map(|(_, replica)| replica.0),
            tenant: record.tenant.as_deref(),
            tries: record.tries,
            reason: record.reason.map(|reason| reason.code()),
            gone: record.gone,
            request_id: &record.request_id,
            trace_id: &record.trace_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Reason;

    fn anything() -> Record {
        Record::new(model::Timestamp::from_millis(0), [192, 0, 2, 7].into())
    }

    fn written(records: Vec<Record>) -> String {
        let (log, waiting) = AccessLog::new();
        records.into_iter().for_each(|record| log.note(record));
        drop(log);
        let mut out = Vec::new();
        waiting.write_to(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_says_what_applies() {
        let record = Record {
            method: "GET".to_owned(),
            host: "acme.example".to_owned(),
            path: "/\"x\"\n".to_owned(),
            status: 429,
            reason: Some(Reason::RateLimited),
            took: Duration::from_micros(1_234),
            request_id: "r-1".to_owned(),
            ..anything()
        };
        assert_eq!(
            written(vec![record]),
            "{\"time\":\"1970-01-01T00:00:00.000Z\",\"client\":\"192.0.2.7\",\"method\":\"GET\",\"host\":\"acme.example\",\
             \"path\":\"/\\\"x\\\"\\n\",\"status\":429,\"bytes\":0,\"duration_ms\":1.234,\"reason\":\"rate_limited\",\
             \"request_id\":\"r-1\"}\n"
        );
    }

    #[test]
    fn what_takes_days_says_so() {
        assert_eq!(millis(Duration::from_secs(48 * 3600) + Duration::from_micros(1)), 172_800_000.001);
    }

    /// Says each time that something is written.
    struct Announcing(std::sync::mpsc::Sender<usize>);

    impl Write for Announcing {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            // A test that has seen enough listens no more.
            let _heard = self.0.send(bytes.len()).is_ok();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_does_not_wait_for_a_steady_trickle_to_end() {
        let (log, waiting) = AccessLog::new();
        let (announce, announced) = std::sync::mpsc::channel();
        let writer = sys::cores::start("log", move || async move { waiting.write_to(Announcing(announce)) }).unwrap();
        let written = (0..300).find_map(|_| {
            log.note(anything());
            announced.recv_timeout(WAIT_MAX / 10).ok()
        });
        assert!(written.is_some_and(|bytes| bytes < WRITE_BYTES), "{written:?}");
        drop(log);
        writer.join().unwrap().unwrap();
    }

    /// Says at the end how often its thread was woken.
    struct Woken(std::sync::mpsc::Sender<u64>);

    impl Write for Woken {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Drop for Woken {
        fn drop(&mut self) {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
            self.0.send(line.trim().parse().unwrap()).unwrap();
        }
    }

    /// Fails when each record wakes the thread that writes: there are ten for each of its looks.
    #[test]
    fn a_record_wakes_nobody_while_others_are_gathered() {
        const RECORDS: u64 = 300;
        let (log, waiting) = AccessLog::new();
        let (say, heard) = std::sync::mpsc::channel();
        let began = sys::clock::now().steady;
        let writer = sys::cores::start("log", move || async move { waiting.write_to(Woken(say)) }).unwrap();
        for _ in 0..RECORDS {
            log.note(anything());
            assert!(heard.recv_timeout(LOOK_PERIOD / 10).is_err(), "it ends before its records do");
        }
        drop(log);
        let woken = heard.recv().unwrap();
        let looks = (sys::clock::now().steady - began).as_millis() / LOOK_PERIOD.as_millis();
        assert!(u128::from(woken) < looks + 30, "{woken} times in {looks} looks");
        writer.join().unwrap().unwrap();
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let records = (0..WAITING_MAX + 3).map(|_| anything()).collect();
        let text = written(records);
        assert_eq!(text.lines().filter(|line| line.starts_with("{\"time\"")).count(), WAITING_MAX);
        assert_eq!(text.lines().filter(|line| *line == "{\"lost\":3}").count(), 1);
    }
}
