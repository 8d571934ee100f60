//! What has just changed, told to every process that has somebody watching.
//!
//! Redis forgets a message that nobody receives. Whoever may have missed one is told [`Change::Unknown`], and asks anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use redis::{AsyncCommands, Client};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use super::{Cache, Error};
use crate::person::PersonId;
use crate::tenant::TenantId;
use crate::with_causes;

/// The channels of all tenants.
const CHANNELS: &str = "changes:*";
/// How many changes a slow watcher may be behind before it is told to ask anew.
const BEHIND_MAX: usize = 64;
/// How long until listening is tried again after it broke off.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Something that watchers of a tenant want to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Change {
    /// A person was added or changed.
    Changed { person: PersonId },
    /// A person was removed.
    Removed { person: PersonId },
    /// Changes may have been missed.
    Unknown,
}

/// Tells everybody who watches the tenant, in every process.
pub(crate) async fn tell(cache: &Cache, tenant: &TenantId, change: &Change) -> Result<(), Error> {
    Ok(cache.clone().publish(format!("changes:{tenant}"), serde_json::to_string(change)?).await?)
}

/// Who watches in this process.
#[derive(Default)]
pub(crate) struct Watchers {
    tenants: Mutex<HashMap<TenantId, broadcast::Sender<Change>>>,
}

impl Watchers {
    /// The changes of a tenant from now on.
    pub(crate) fn watch(&self, tenant: &TenantId) -> broadcast::Receiver<Change> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        // Tenants that nobody watches any more are forgotten here, so that there are never more than watchers.
        tenants.retain(|_, sender| sender.receiver_count() > 0);
        tenants.entry(tenant.clone()).or_insert_with(|| broadcast::channel(BEHIND_MAX).0).subscribe()
    }

    fn tell(&self, tenant: &TenantId, change: Change) {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = tenants.get(tenant) {
            // Fails when the last watcher has just gone; then there is nobody to tell.
            drop(sender.send(change));
        }
    }

    fn tell_all_unknown(&self) {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.values().for_each(|sender| drop(sender.send(Change::Unknown)));
    }
}

/// Passes on to the watchers what Redis tells, until the process ends. Redis may come and go meanwhile.
pub(crate) async fn listen(client: Client, watchers: Arc<Watchers>) {
    loop {
        if let Err(error) = listen_once(&client, &watchers).await {
            tracing::warn!(error = with_causes(&error), "listening for changes broke off, and is tried again");
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

async fn listen_once(client: &Client, watchers: &Watchers) -> Result<(), Error> {
    let mut subscription = client.get_async_pubsub().await?;
    subscription.psubscribe(CHANNELS).await?;
    watchers.tell_all_unknown();
    let mut messages = subscription.on_message();
    while let Some(message) = messages.next().await {
        let tenant = message.get_channel_name().strip_prefix("changes:").and_then(|id| id.parse().ok());
        match (tenant, serde_json::from_slice(message.get_payload_bytes())) {
            (Some(tenant), Ok(change)) => watchers.tell(&tenant, change),
            // From a newer release: what it means is not known here, that something changed is.
            (Some(tenant), Err(_)) => watchers.tell(&tenant, Change::Unknown),
            (None, _) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{BEHIND_MAX, Change, Watchers};
    use crate::person::PersonId;

    #[tokio::test]
    async fn a_tenants_watchers_hear_of_that_tenant_only() {
        let (acme, birch) = ("acme".parse().unwrap(), "birch".parse().unwrap());
        let watchers = Watchers::default();
        let (mut at_acme, mut at_birch) = (watchers.watch(&acme), watchers.watch(&birch));
        watchers.tell(&acme, Change::Changed { person: PersonId(7) });
        assert_eq!(at_acme.recv().await, Ok(Change::Changed { person: PersonId(7) }));
        assert!(at_birch.try_recv().is_err());
        watchers.tell_all_unknown();
        assert_eq!(at_birch.recv().await, Ok(Change::Unknown));
    }

    #[tokio::test]
    async fn tenants_without_watchers_are_forgotten() {
        let watchers = Watchers::default();
        for number in 0..BEHIND_MAX {
            drop(watchers.watch(&format!("t{number}").parse().unwrap()));
        }
        let _watching = watchers.watch(&"acme".parse().unwrap());
        assert_eq!(watchers.tenants.lock().unwrap().len(), 1);
    }

    #[test]
    fn the_form_that_browsers_read() {
        let text = |change: &Change| serde_json::to_string(change).unwrap();
        assert_eq!(text(&Change::Changed { person: PersonId(7) }), r#"{"kind":"changed","person":7}"#);
        assert_eq!(text(&Change::Unknown), r#"{"kind":"unknown"}"#);
    }
}
