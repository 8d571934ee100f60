//! Processor time, as the kernel counts it: a hundredth of a second at a time.

use std::fs;

/// Ticks in a second: fixed for what the kernel tells programs (proc(5)).
const TICKS: f64 = 100.0;

/// Seconds that these processes have used.
pub(super) fn of(pids: &[u32]) -> f64 {
    pids.iter().map(|pid| fields(&format!("/proc/{pid}/stat"), &[14, 15])).sum()
}

/// Seconds that our own ended children have used.
pub(super) fn of_ended_children() -> f64 {
    fields("/proc/self/stat", &[16, 17])
}

/// Seconds that all cores have been busy.
pub(super) fn of_machine() -> f64 {
    busy(&fs::read_to_string("/proc/stat").unwrap_or_default())
}

/// The sum of some fields of a `stat` file, in seconds; 0 for a process that is gone.
fn fields(path: &str, wanted: &[usize]) -> f64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let rest = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    // The state, behind the name, is field 3.
    wanted.iter().filter_map(|field| rest.split(' ').nth(field - 3)?.parse::<f64>().ok()).sum::<f64>() / TICKS
}

/// User, nice, system and interrupt time of all cores, from the first line of `/proc/stat`.
fn busy(text: &str) -> f64 {
    let numbers = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let numbers: Vec<f64> = numbers.filter_map(|number| number.parse().ok()).collect();
    [0, 1, 2, 5, 6].iter().filter_map(|&at| numbers.get(at)).sum::<f64>() / TICKS
}

#[cfg(test)]
mod tests {
    use super::busy;

    #[test]
    fn waiting_is_not_being_busy() {
        assert_eq!(format!("{:.2}", busy("cpu  100 20 30 9000 500 4 6 0 0 0\ncpu0 1 1 1\n")), "1.60");
    }
}
