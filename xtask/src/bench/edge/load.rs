//! The load generators: wrk for HTTP/1.1, h2load for HTTP/2. Start reading at [`run`].

use std::path::Path;
use std::process::Command;

use super::gateway::Gateway;
use super::work::Work;
use crate::bench::Error;

/// Seconds that a run takes.
const SECONDS: u32 = 5;
/// Seconds before it, that do not count.
const WARM_UP_SECONDS: u32 = 1;
/// Streams of each HTTP/2 connection.
const STREAMS: u32 = 10;
/// The core that the load and the origin have.
pub(super) const LOAD_CORE: usize = 1;

/// What came of one run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Load {
    pub(super) requests: f64,
    pub(super) seconds: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// Requests that failed or were not answered with success.
    pub(super) failed: f64,
}

impl Load {
    pub(super) fn requests_per_second(&self) -> f64 {
        self.requests / self.seconds
    }
}

/// Puts the load on for a moment.
pub(super) fn warm_up(gateway: &Gateway, work: Work, scratch: &Path) -> Result<(), Error> {
    for_seconds(gateway, work, scratch, WARM_UP_SECONDS).map(drop)
}

/// Puts the load on and reads what came of it.
pub(super) fn run(gateway: &Gateway, work: Work, scratch: &Path) -> Result<Load, Error> {
    for_seconds(gateway, work, scratch, SECONDS)
}

fn for_seconds(gateway: &Gateway, work: Work, scratch: &Path, seconds: u32) -> Result<Load, Error> {
    match work {
        Work::Http2 => h2load(gateway, work, scratch, seconds),
        _ => wrk(gateway, work, seconds),
    }
}

fn pinned(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &LOAD_CORE.to_string(), program]);
    command
}

fn wrk(gateway: &Gateway, work: Work, seconds: u32) -> Result<Load, Error> {
    let mut command = pinned("wrk");
    command.args(["--threads", "1", "--latency", "--connections", &work.connections().to_string()]);
    command.args(["--duration", &format!("{seconds}s"), &gateway.url(work)]);
    let text = printed(&mut command)?;
    read_wrk(&text).ok_or(Error::Unreadable { program: "wrk", text })
}

fn h2load(gateway: &Gateway, work: Work, scratch: &Path, seconds: u32) -> Result<Load, Error> {
    let log = scratch.join("h2load.log");
    let mut command = pinned("h2load");
    command.args(["--clients", &work.connections().to_string(), "--max-concurrent-streams", &STREAMS.to_string()]);
    command.args(["--duration", &seconds.to_string(), "--log-file"]).arg(&log).arg(gateway.url(work));
    let text = printed(&mut command)?;
    let file = |source| Error::File { path: log.clone(), source };
    let lines = std::fs::read_to_string(&log).map_err(file)?;
    std::fs::remove_file(&log).map_err(file)?;
    read_h2load(&text, &lines).ok_or(Error::Unreadable { program: "h2load", text })
}

fn printed(command: &mut Command) -> Result<String, Error> {
    let shown = format!("{command:?}");
    let output = command.output().map_err(|source| Error::Start { command: shown.clone(), source })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(text),
        false => Err(Error::Command { command: shown, status: output.status, output: text }),
    }
}

fn read_wrk(text: &str) -> Option<Load> {
    let behind = |key: &str| text.lines().find_map(|line| line.trim().strip_prefix(key)).map(str::trim);
    let total = text.lines().find(|line| line.contains(" requests in "))?.trim();
    let (requests, rest) = total.split_once(" requests in ")?;
    let errors = behind("Socket errors:").map_or(0.0, |line| {
        line.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<f64>().ok()).sum()
    });
    Some(Load {
        requests: requests.parse().ok()?,
        seconds: milliseconds(rest.split(',').next()?)? / 1000.0,
        p50_ms: milliseconds(behind("50%")?)?,
        p99_ms: milliseconds(behind("99%")?)?,
        failed: errors + behind("Non-2xx or 3xx responses:").map_or(Some(0.0), |number| number.parse().ok())?,
    })
}

/// `635.91us`, `12.92ms`, `1.20s`, `1.5m`.
fn milliseconds(text: &str) -> Option<f64> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let number: f64 = text[..unit].parse().ok()?;
    match &text[unit..] {
        "us" => Some(number / 1000.0),
        "ms" => Some(number),
        "s" => Some(number * 1000.0),
        "m" => Some(number * 60_000.0),
        _ => None,
    }
}

/// What it prints, and its log: start, status and microseconds of each request.
fn read_h2load(text: &str, log: &str) -> Option<Load> {
    let seconds = text.lines().find_map(|line| line.strip_prefix("finished in "))?.split(',').next()?;
    let total = text.lines().find_map(|line| line.strip_prefix("requests: "))?;
    let count = |key: &str| -> Option<f64> {
        let part = total.split(", ").find(|part| part.ends_with(key))?;
        part.split(' ').next()?.parse().ok()
    };
    let mut micros: Vec<f64> = log.lines().filter_map(|line| line.split('\t').nth(2)?.parse().ok()).collect();
    micros.sort_by(f64::total_cmp);
    let statuses = text.lines().find_map(|line| line.strip_prefix("status codes: "))?;
    let succeeded: f64 = statuses.split(' ').next()?.parse().ok()?;
    Some(Load {
        requests: count(" done")?,
        seconds: milliseconds(seconds)? / 1000.0,
        p50_ms: quantile(&micros, 50)? / 1000.0,
        p99_ms: quantile(&micros, 99)? / 1000.0,
        failed: count(" done")? - succeeded,
    })
}

/// What so many hundredths of these stay within; they are in order.
pub(super) fn quantile(sorted: &[f64], hundredths: usize) -> Option<f64> {
    sorted.get(sorted.len().saturating_sub(1) * hundredths / 100).copied()
}

#[cfg(test)]
mod tests {
    use super::{Load, read_h2load, read_wrk};

    #[test]
    fn what_wrk_prints_is_read() {
        let text = "Running 5s test @ http://localhost:1/\n  1 threads and 64 connections\n  Thread Stats   Avg\n    \
            Latency   635.91us    0.89ms  12.92ms   93.69%\n  Latency Distribution\n     50%  250.00us\n     \
            75%  491.00us\n     99%    5.80ms\n  22464 requests in 5.00s, 17.76GB read\n  Socket errors: connect 0, \
            read 2, write 0, timeout 1\n  Non-2xx or 3xx responses: 4\nRequests/sec: 4492.80\n";
        let load = Load { requests: 22464.0, seconds: 5.0, p50_ms: 0.25, p99_ms: 5.8, failed: 7.0 };
        assert_eq!(read_wrk(text), Some(load));
        assert_eq!(read_wrk("unable to connect"), None);
    }

    #[test]
    fn what_h2load_prints_is_read() {
        let text = "starting benchmark...\nfinished in 2.00s, 2.00 req/s, 1.00KB/s\nrequests: 5 total, 5 started, 4 \
            done, 4 succeeded, 0 failed, 0 errored, 0 timeout\nstatus codes: 3 2xx, 0 3xx, 1 4xx, 0 5xx\n";
        let log = "1\t200\t1000\n2\t200\t3000\n3\t200\t2000\n4\t404\t9000\n";
        let load = Load { requests: 4.0, seconds: 2.0, p50_ms: 2.0, p99_ms: 3.0, failed: 1.0 };
        assert_eq!(read_h2load(text, log), Some(load));
    }
}
