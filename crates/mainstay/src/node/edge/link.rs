//! The connection to the edge: the newest certificates and settings one way, what it says the other. Start reading at
//! [`keep`].

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use edge::certificates::Certificates;
use edge::control::{ToEdge, ToNode, TurnedAway};
use edge::evidence::{Arm, Counts};
use edge::settings::Settings;
use sys::messages::{self, Incoming, MessageError};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};

/// What the edge says that waits for the node; when more comes, the edge waits.
pub(crate) const HEARD_MAX: usize = 64;
/// From one try to connect to the next, at first. It doubles up to the next.
const AGAIN_FIRST: Duration = Duration::from_millis(20);
/// See [`AGAIN_FIRST`].
const AGAIN_LAST: Duration = Duration::from_millis(500);

/// What is heard of the edge.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    /// It can be reached, speaks this version of the protocol, and works by these settings and certificates; 0 for none.
    Connected { version: u32, settings: u64, certificates: u64 },
    /// It works by these settings now.
    Applied { settings: u64 },
    /// It answers with these certificates now.
    CertificatesApplied { certificates: u64 },
    /// It cannot work by these certificates, and goes on with those of before.
    CertificatesRefused { certificates: u64, why: String },
    /// How the last second went.
    Evidence(Report),
    /// It cannot be reached any more.
    Lost,
}

/// What an edge says of the last second, and of itself since it began.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Report {
    pub(crate) arms: Vec<(Arm, Counts)>,
    /// Connections that are open.
    pub(crate) connections: u64,
    /// Those that came to nothing.
    pub(crate) turned_away: TurnedAway,
    /// Requests that broke its own code.
    pub(crate) panics: u64,
    /// Reports that no node took.
    pub(crate) lost: u64,
}

/// What the edge is to be told: the newest of each, nothing where there is nothing to tell.
#[derive(Debug)]
pub(crate) struct Orders {
    pub(crate) settings: watch::Receiver<Option<Arc<Settings>>>,
    pub(crate) certificates: watch::Receiver<Option<Arc<Certificates>>>,
}

impl Orders {
    /// What has changed since the last; `None` once the node is gone. Certificates go first: settings may send clients
    /// to where those are needed.
    async fn next(&mut self) -> Option<ToEdge> {
        loop {
            tokio::select! {
                biased;
                changed = self.certificates.changed() => {
                    changed.ok()?;
                    let newest = self.certificates.borrow_and_update().clone();
                    if let Some(newest) = newest {
                        return Some(ToEdge::Certificates(Box::new((*newest).clone())));
                    }
                }
                changed = self.settings.changed() => {
                    changed.ok()?;
                    let newest = self.settings.borrow_and_update().clone();
                    if let Some(newest) = newest {
                        return Some(ToEdge::Settings(Box::new((*newest).clone())));
                    }
                }
            }
        }
    }

    /// Everything is to be told again.
    fn begin_anew(&mut self) {
        self.certificates.mark_changed();
        self.settings.mark_changed();
    }
}

/// Keeps a connection to the edge for as long as there is something to tell it.
pub(crate) async fn keep(control: PathBuf, mut orders: Orders, heard: mpsc::Sender<Heard>) -> Result<(), Infallible> {
    let mut again = AGAIN_FIRST;
    // The node is gone once nothing can be told any more.
    while orders.settings.wait_for(Option::is_some).await.is_ok() {
        if let Ok(stream) = UnixStream::connect(&control).await {
            again = AGAIN_FIRST;
            // However it ended, it is begun anew.
            let _ended = carry(stream, &mut orders, &heard).await;
            if heard.send(Heard::Lost).await.is_err() {
                break;
            }
        }
        tokio::time::sleep(again).await;
        again = (again * 2).min(AGAIN_LAST);
    }
    Ok(())
}

/// Speaks with the edge until either side ends. Whoever connects is greeted, and then told the newest of everything.
async fn carry(stream: UnixStream, orders: &mut Orders, heard: &mpsc::Sender<Heard>) -> Result<(), MessageError> {
    let (mut reading, mut writing) = stream.into_split();
    let mut incoming = Incoming::default();
    orders.begin_anew();
    let mut greeted = false;
    loop {
        tokio::select! {
            said = incoming.next::<ToNode>(&mut reading) => {
                let Some(said) = said? else { return Ok(()) };
                greeted |= matches!(said, ToNode::Hello { .. });
                if heard.send(news(said)).await.is_err() {
                    return Ok(());
                }
            }
            order = orders.next(), if greeted => {
                let Some(order) = order else { return Ok(()) };
                messages::write(&mut writing, &order).await?;
            }
        }
    }
}

fn news(said: ToNode) -> Heard {
    match said {
        ToNode::Hello { version, settings, certificates } => Heard::Connected { version, settings, certificates },
        ToNode::Applied { settings } => Heard::Applied { settings },
        ToNode::Evidence { arms, connections, turned_away, panics, lost } => {
            Heard::Evidence(Report { arms, connections, turned_away, panics, lost })
        }
        ToNode::CertificatesApplied { certificates } => Heard::CertificatesApplied { certificates },
        ToNode::CertificatesRefused { certificates, why } => Heard::CertificatesRefused { certificates, why },
    }
}

/// The edge's socket for the node, in its folder.
pub(crate) fn control_socket(folder: &Path) -> PathBuf {
    folder.join(edge::control::SOCKET_NAME)
}
