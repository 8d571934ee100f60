//! A request's way to its answer, from a replica or from a folder. Start reading at [`Carrying::carry`].
//!
//! The same for every version of HTTP that clients speak.

use super::forward::{Forwarded, Forwarding, forward};
use super::record::Record;
use crate::compress::{COMPRESSIONS_MAX, Compressing};
use crate::exchange::Client;
use crate::folder::{Serving, Wanted};
use crate::outgoing::Outgoing;
use crate::policy::encoding::Preference;
use crate::settings::Folder;

/// A request whose head allows an answer.
pub(super) struct Carrying<'c> {
    pub(super) forwarding: Forwarding<'c>,
    /// What is asked of which folder, where the route leads to one.
    pub(super) folder: Option<(&'c Folder, Wanted)>,
    /// The codings that the answer may be compressed in.
    pub(super) codings: Preference,
}

impl Carrying<'_> {
    /// Whether a folder answers, which reads no body.
    pub(super) fn is_of_folder(&self) -> bool {
        self.folder.is_some()
    }

    /// Brings the client its answer. Gives back the memory of the request's head.
    pub(super) async fn carry<C: Client>(
        &self,
        client: &mut C,
        outgoing: Outgoing,
        record: &mut Record,
    ) -> (Forwarded, Vec<u8>) {
        let mut client = Compressing::new(client, self.codings, self.forwarding.worker.share_of(COMPRESSIONS_MAX));
        let carried = match &self.folder {
            Some((folder, wanted)) => {
                let served = self.serving(folder, record).serve(wanted, &mut client, record).await;
                (served, outgoing.into_memory())
            }
            None => forward(&self.forwarding, &mut client, outgoing, record).await,
        };
        record.sent = client.sent();
        carried
    }

    fn serving<'s>(&'s self, folder: &'s Folder, record: &Record) -> Serving<'s> {
        let Forwarding { worker, deadline, payer, asked, .. } = &self.forwarding;
        Serving {
            folder,
            shelves: &worker.shelves,
            deadline,
            payer,
            patience: self.forwarding.patience(),
            asked: *asked,
            codings: self.codings,
            wall: record.at,
            steady: worker.now(),
        }
    }
}
