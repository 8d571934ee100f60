//! The connection to the edge: the newest settings one way, what it says the other. Start reading at [`keep`].

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use edge::control::{ToEdge, ToNode};
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
    /// It can be reached, and works by these settings; 0 for none.
    Connected { settings: u64 },
    /// It works by these settings now.
    Applied { settings: u64 },
    /// How the last second went.
    Evidence { arms: Vec<(Arm, Counts)>, connections: u64 },
    /// It cannot be reached any more.
    Lost,
}

/// Keeps a connection to the edge for as long as there is something to tell it.
pub(crate) async fn keep(
    control: PathBuf,
    mut settings: watch::Receiver<Option<Arc<Settings>>>,
    heard: mpsc::Sender<Heard>,
) -> Result<(), Infallible> {
    let mut again = AGAIN_FIRST;
    // The node is gone once nothing can be told any more.
    while settings.wait_for(Option::is_some).await.is_ok() {
        if let Ok(stream) = UnixStream::connect(&control).await {
            again = AGAIN_FIRST;
            // However it ended, it is begun anew.
            let _ended = carry(stream, &mut settings, &heard).await;
            if heard.send(Heard::Lost).await.is_err() {
                break;
            }
        }
        tokio::time::sleep(again).await;
        again = (again * 2).min(AGAIN_LAST);
    }
    Ok(())
}

/// Speaks with the edge until either side ends. Whoever connects is greeted, and then told the newest settings.
async fn carry(
    stream: UnixStream,
    settings: &mut watch::Receiver<Option<Arc<Settings>>>,
    heard: &mpsc::Sender<Heard>,
) -> Result<(), MessageError> {
    let (mut reading, mut writing) = stream.into_split();
    let mut incoming = Incoming::default();
    settings.mark_changed();
    let mut greeted = false;
    loop {
        tokio::select! {
            said = incoming.next::<ToNode>(&mut reading) => {
                let Some(said) = said? else { return Ok(()) };
                greeted |= matches!(said, ToNode::Hello { .. });
                if let Some(news) = news(said)
                    && heard.send(news).await.is_err()
                {
                    return Ok(());
                }
            }
            changed = settings.changed(), if greeted => {
                if changed.is_err() {
                    return Ok(());
                }
                let newest = settings.borrow_and_update().clone();
                let Some(newest) = newest else { return Ok(()) };
                messages::write(&mut writing, &ToEdge::Settings(Box::new((*newest).clone()))).await?;
            }
        }
    }
}

fn news(said: ToNode) -> Option<Heard> {
    match said {
        ToNode::Hello { settings, .. } => Some(Heard::Connected { settings }),
        ToNode::Applied { settings } => Some(Heard::Applied { settings }),
        ToNode::Evidence { arms, connections, .. } => Some(Heard::Evidence { arms, connections }),
        // No certificates are told yet.
        ToNode::CertificatesApplied { .. } | ToNode::CertificatesRefused { .. } => None,
    }
}

/// The edge's socket for the node, in its folder.
pub(crate) fn control_socket(folder: &Path) -> PathBuf {
    folder.join("control.sock")
}
