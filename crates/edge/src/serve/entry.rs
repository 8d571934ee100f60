//! A request that will be in the access log, however it ends. Start reading at [`Entry`].

use std::time::Duration;

use super::record::Record;
use crate::settled::Settled;
use crate::worker::Worker;

/// What is known so far of a request; noted when this is dropped, so also when its connection is.
pub(super) struct Entry<'w> {
    worker: &'w Worker,
    /// When it began, on the steady clock.
    began: Duration,
    pub(super) record: Record,
}

impl<'w> Entry<'w> {
    /// Of a request that began then.
    pub(super) fn new(worker: &'w Worker, began: Duration, record: Record) -> Self {
        Self { worker, began, record }
    }

    /// Counts how it went. To be called once.
    pub(super) fn count(&mut self, live: &Settled) {
        self.time();
        live.count(&self.record);
    }

    fn time(&mut self) {
        self.record.took = sys::clock::now().steady.saturating_sub(self.began);
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.time();
        let empty = Record::new(self.record.at, self.record.client);
        self.worker.log(std::mem::replace(&mut self.record, empty));
    }
}
