//! What the edge has to say and its node has not taken yet. Start reading at [`Outbox::say`].
//!
//! Nothing here waits for the node: one that is stopped or slow must not hold up the edge, whose main thread hears signals and
//! takes over settings. What is news about one thing replaces what was said of it before, and of evidence the newest is kept, so
//! there are never more than [`EVIDENCE_WAITING_MAX`] messages and one for each other kind.

use std::collections::VecDeque;
use std::mem::discriminant;

use sys::messages::{self, MessageError};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::control::ToNode;

/// Reports of evidence that wait for the node.
pub(crate) const EVIDENCE_WAITING_MAX: usize = 64;

/// Messages on their way to one node.
#[derive(Default)]
pub(crate) struct Outbox {
    /// The message whose sending has begun.
    under_way: Vec<u8>,
    /// Bytes of it that are sent.
    sent: usize,
    waiting: VecDeque<ToNode>,
}

impl Outbox {
    /// Takes a message in place of an older one of its kind. Evidence is for [`Self::report`].
    pub(crate) fn say(&mut self, message: ToNode) {
        self.waiting.retain(|older| discriminant(older) != discriminant(&message));
        self.waiting.push_back(message);
    }

    /// Takes evidence. `false` when older evidence was given up for it.
    pub(crate) fn report(&mut self, evidence: ToNode) -> bool {
        let full = self.unsent_reports() >= EVIDENCE_WAITING_MAX;
        if full && let Some(oldest) = self.waiting.iter().position(is_evidence) {
            self.waiting.remove(oldest);
        }
        self.waiting.push_back(evidence);
        !full
    }

    /// Reports that were taken and whose sending has not begun.
    pub(crate) fn unsent_reports(&self) -> usize {
        self.waiting.iter().filter(|message| is_evidence(message)).count()
    }

    /// Whether everything is sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sent == self.under_way.len()
    }

    /// Sends everything. Nothing is lost or sent twice when this is dropped before it is done.
    pub(crate) async fn send(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> Result<(), MessageError> {
        loop {
            while let Some(rest) = self.under_way.get(self.sent..).filter(|rest| !rest.is_empty()) {
                self.sent += to.write(rest).await?;
            }
            let Some(next) = self.waiting.pop_front() else { return Ok(()) };
            (self.under_way, self.sent) = (messages::framed(&next)?.to_vec(), 0);
        }
    }
}

fn is_evidence(message: &ToNode) -> bool {
    matches!(message, ToNode::Evidence { .. })
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn evidence(connections: u64) -> ToNode {
        ToNode::Evidence { arms: Vec::new(), connections, turned_away: Default::default(), panics: 0, lost: 0 }
    }

    /// What a node hears that reads to the end.
    async fn heard(outbox: &mut Outbox) -> Vec<ToNode> {
        let mut wire = Vec::new();
        outbox.send(&mut wire).await.unwrap();
        let (mut incoming, mut wire) = (messages::Incoming::default(), wire.as_slice());
        let mut heard = Vec::new();
        while let Some(message) = incoming.next(&mut wire).await.unwrap() {
            heard.push(message);
        }
        heard
    }

    #[tokio::test]
    async fn the_newest_is_kept_in_its_order() {
        let mut outbox = Outbox::default();
        outbox.say(ToNode::Applied { settings: 1 });
        let most = EVIDENCE_WAITING_MAX as u64;
        let kept: Vec<_> = (0..most + 2).map(|number| outbox.report(evidence(number))).collect();
        outbox.say(ToNode::Applied { settings: 2 });
        assert_eq!(kept.iter().filter(|kept| !**kept).count(), 2);
        let expected: Vec<_> = (2..most + 2).map(evidence).chain([ToNode::Applied { settings: 2 }]).collect();
        assert_eq!(heard(&mut outbox).await, expected);
        assert!(outbox.is_empty());
    }

    #[tokio::test]
    async fn a_message_that_is_half_sent_is_finished() {
        let (mut ours, mut theirs) = tokio::io::duplex(7);
        let mut outbox = Outbox::default();
        outbox.report(evidence(1));
        // As much as there is room for.
        let stuck = pin!(outbox.send(&mut ours)).poll(&mut Context::from_waker(Waker::noop())).is_pending();
        assert!(stuck && !outbox.is_empty());
        outbox.report(evidence(2));
        let sending = async {
            outbox.send(&mut ours).await.unwrap();
            drop(ours);
        };
        let hearing = async {
            let mut incoming = messages::Incoming::default();
            [incoming.next(&mut theirs).await.unwrap(), incoming.next(&mut theirs).await.unwrap()]
        };
        assert_eq!(tokio::join!(sending, hearing).1, [Some(evidence(1)), Some(evidence(2))]);
    }
}
