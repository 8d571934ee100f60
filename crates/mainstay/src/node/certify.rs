//! Certificates for the edge: issued, renewed and told. Start reading at [`Node::certify`].

use std::collections::BTreeSet;

use ::edge::certificates::Certificate;
use model::cause::chain;
use model::{Happening, Timestamp};
use supervise::supervisor::Notice;

use super::edge::certificates::{self, Issue};
use super::layout::LayoutError;
use super::secret_changes::SecretError;
use super::troubles::About;
use super::{Node, PERIOD};

/// The edge cannot be given certificates.
#[derive(Debug, thiserror::Error)]
enum CertifyError {
    /// The authority cannot be had.
    #[error("the edge's certificates cannot be issued")]
    Authority(#[from] SecretError),
    /// It refuses.
    #[error("the edge's certificates cannot be issued")]
    Issue(#[from] vault::AuthorityError),
    /// Clients could not be told to trust it.
    #[error("the local authority's certificate cannot be put where clients find it")]
    Publish(#[from] LayoutError),
}

impl Node {
    /// Sees to it that the edge has certificates for the hosts of its routes, and that none of them ends.
    pub(super) fn certify(&mut self) {
        let now = self.now();
        let edge = self.applied.current.as_ref().and_then(|current| current.stack.edge.as_ref());
        let Some(hosts) = edge.and_then(certificates::hosts) else {
            self.troubles.clear(&About::Certificates);
            return self.edge.forget_certificates();
        };
        if self.edge.is_certified(&hosts, now.wall) || self.agenda.certify_at.is_some_and(|at| now.steady < at) {
            return;
        }
        match self.issue(hosts, now.wall) {
            Ok((issue, certificates)) => {
                self.agenda.certify_at = None;
                self.troubles.clear(&About::Certificates);
                self.note_issued(&issue, now.wall);
                self.edge.certify(issue, certificates, now.wall);
            }
            Err(error) => {
                self.agenda.certify_at = Some(now.steady.saturating_add(PERIOD));
                self.troubles.note(About::Certificates, chain(&error));
            }
        }
    }

    fn issue(&mut self, hosts: BTreeSet<String>, now: Timestamp) -> Result<(Issue, Vec<Certificate>), CertifyError> {
        let of = self.applied.current.as_ref().map(|current| current.stack.name.to_string()).unwrap_or_default();
        let authority = self.store.local_authority(now, &of)?;
        self.store.layout.publish_authority(authority.certificate_pem())?;
        Ok(certificates::issue(&authority, hosts, now)?)
    }

    fn note_issued(&mut self, issue: &Issue, at: Timestamp) {
        let Some(until) = issue.until else { return };
        let what = Happening::CertificatesIssued { hosts: issue.hosts(), until };
        let reason = "for the edge, by the local authority".to_owned();
        self.backlog.push(Notice { at, what, reason, evidence: Vec::new() });
    }
}
