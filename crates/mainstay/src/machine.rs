//! What this machine has to give: processors and memory.

use model::stack::Capacity;
use model::{ByteSize, CpuShare};

/// Why it cannot be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MachineError {
    /// The kernel does not say how much memory there is.
    #[error("cannot read the size of this machine's memory from {MEMORY_FILE}")]
    Memory(#[source] std::io::Error),
    /// What the kernel says cannot be understood.
    #[error("{MEMORY_FILE} does not hold the size of this machine's memory")]
    Unreadable,
    /// The kernel does not say how many processors there are.
    #[error("cannot count this machine's processors")]
    Processors(#[source] std::io::Error),
}

const MEMORY_FILE: &str = "/proc/meminfo";

/// The processors that this process may use, and the machine's memory.
pub(crate) fn capacity() -> Result<Capacity, MachineError> {
    let processors = std::thread::available_parallelism().map_err(MachineError::Processors)?;
    let millicores = u32::try_from(processors.get()).unwrap_or(u32::MAX).saturating_mul(1000);
    let text = std::fs::read_to_string(MEMORY_FILE).map_err(MachineError::Memory)?;
    let memory = memory(&text).ok_or(MachineError::Unreadable)?;
    Ok(Capacity { cpu: CpuShare::millicores(millicores), memory })
}

fn memory(text: &str) -> Option<ByteSize> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(ByteSize::bytes(kibibytes.checked_mul(1024)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_read() {
        assert_eq!(memory("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(ByteSize::mebibytes(16)));
        assert_eq!(memory("MemFree: 1 kB\n"), None);
        assert!(capacity().unwrap().memory > ByteSize::mebibytes(16));
    }
}
