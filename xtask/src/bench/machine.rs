//! On what a figure was measured: a figure without it says nothing.

use std::fs;

/// Processor, cores, memory, system and kernel on one line, with the day and how busy the machine was with other work.
pub(super) fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kib: u64 =
        field(&read("/proc/meminfo"), "MemTotal:", ':').and_then(|kb| kb.split(' ').next()?.parse().ok()).unwrap_or(0);
    let model = field(&read("/proc/cpuinfo"), "model name", ':').unwrap_or_else(|| "unknown processor".to_owned());
    let system = field(&read("/etc/os-release"), "PRETTY_NAME", '=').unwrap_or_else(|| "unknown system".to_owned());
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "{model}, {cores} cores, {} GiB memory, {}, Linux {}, {}, load average {} before",
        (kib + (1 << 19)) >> 20,
        system.trim_matches('"'),
        kernel.trim(),
        today(),
        read("/proc/loadavg").split(' ').next().unwrap_or_default(),
    )
}

/// The text behind the separator of the first line that starts with `key`.
fn field(text: &str, key: &str, separator: char) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_once(separator).map(|(_, value)| value.trim().to_owned())
}

fn today() -> String {
    let date = std::process::Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    date.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn a_field_is_found_by_its_key() {
        assert_eq!(field("a: 1\nMemTotal:   24681 kB\n", "MemTotal:", ':').as_deref(), Some("24681 kB"));
        assert_eq!(field("a: 1\n", "b", ':'), None);
    }
}
