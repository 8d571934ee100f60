//! What time it is, and which boot this is.
//!
//! Start reading at [`now`]. Invariant: this is the one place that asks the operating system for the time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::{BootId, Timestamp};
use rustix::time::{ClockId, clock_gettime};

use crate::system::Now;

/// Both clocks, read one after the other.
pub fn now() -> Now {
    Now { wall: wall(), steady: steady() }
}

/// Through the C library, as other programs read it: a test that steps the clock of a whole stack does it there.
#[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is to ask")]
fn wall() -> Timestamp {
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => millis(since),
        Err(before) => -millis(before.duration()),
    })
}

fn steady() -> Duration {
    let steady = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(steady.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(steady.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

/// The kernel does not say which boot this is.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {BOOT_FILE}: without it a process of an earlier boot cannot be told from one of this boot")]
pub struct BootError(#[source] std::io::Error);

const BOOT_FILE: &str = "/proc/sys/kernel/random/boot_id";

/// Which boot this is.
pub fn boot() -> Result<BootId, BootError> {
    let text = std::fs::read_to_string(BOOT_FILE).map_err(BootError)?;
    Ok(BootId(text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_go_on() {
        let (first, second) = (now(), now());
        assert!(second.steady >= first.steady);
        assert!(first.wall.to_string().starts_with("20"), "{}", first.wall);
        assert_eq!(boot().unwrap(), boot().unwrap());
        assert_eq!(boot().unwrap().0.len(), 36);
    }
}
