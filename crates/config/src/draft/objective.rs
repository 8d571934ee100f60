//! The objectives.

use model::stack::{LatencyObjective, Objectives};
use model::{Percent, Span};

use super::Reader;
use crate::tree::Mapping;

pub(super) fn read(reader: &mut Reader<'_, '_>, mapping: &Mapping) -> Objectives {
    let latency = reader.record(mapping, "latency").and_then(|latency| read_latency(reader, latency));
    let recovery = reader.record(mapping, "recovery");
    let mut span = |key| recovery.and_then(|recovery| reader.one::<Span>(recovery, key)).map(|read| read.value);
    let (rto, rpo) = (span("rto"), span("rpo"));
    let availability = reader.one::<Percent>(mapping, "availability").map(|read| read.value);
    Objectives { availability, latency, rto, rpo }
}

/// The key is the quantile: `p95` is 95 %.
fn read_latency(reader: &mut Reader<'_, '_>, mapping: &Mapping) -> Option<LatencyObjective> {
    let entry = mapping.entries.first()?;
    let within = reader.one::<Span>(mapping, &entry.key)?.value;
    let quantile = format!("{}%", entry.key.strip_prefix('p')?).parse().ok()?;
    Some(LatencyObjective { quantile, within })
}
