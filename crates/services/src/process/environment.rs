//! The environment of a unit, whole: nothing of the node's own gets in.

use std::collections::BTreeMap;
use std::path::Path;

use model::{ReplicaNumber, VariableName};
use supervise::launch::{EnvironmentValue, PORT_MARK};

use super::Carriage;

/// The locale that every unit is told: UTF-8 without a country's customs.
const LANG: &str = "C.UTF-8";

impl Carriage<'_> {
    /// In this order, the later winning: a clean base, the port, the connections, the secrets, the
    /// volumes, what the file states, and who the unit is. `config` refuses a file whose own variables
    /// would replace an injected one.
    pub(super) fn environment(
        &self,
        connections: &BTreeMap<VariableName, EnvironmentValue>,
        replica: Option<ReplicaNumber>,
        home: &Path,
    ) -> BTreeMap<String, EnvironmentValue> {
        let content = &self.release.content;
        let mut all: BTreeMap<String, EnvironmentValue> = BTreeMap::new();
        let plain = |name: &str, value: &str| (name.to_owned(), EnvironmentValue::from(value.to_owned()));
        all.extend([
            plain("PATH", &self.place.search),
            plain("HOME", &home.to_string_lossy()),
            plain("LANG", LANG),
            plain("TZ", content.timezone.as_str()),
        ]);
        if replica.is_some() && content.listen.listens() {
            all.extend([plain("PORT", PORT_MARK)]);
        }
        all.extend(connections.iter().map(|(name, value)| (name.to_string(), value.clone())));
        all.extend(self.values.secrets.0.iter().map(|(secret, value)| (secret.to_string(), value.clone())));
        all.extend(self.volumes().map(|(name, folder)| plain(name.as_str(), &folder.to_string_lossy())));
        all.extend(content.env.iter().map(|(name, value)| plain(name.as_str(), value)));
        all.extend([
            plain("MAINSTAY_STACK", self.stack.as_str()),
            plain("MAINSTAY_ENVIRONMENT", self.environment.as_str()),
            plain("MAINSTAY_SERVICE", self.release.service.as_str()),
            plain("MAINSTAY_RELEASE", &self.release.number.to_string()),
        ]);
        all.extend(replica.map(|number| plain("MAINSTAY_REPLICA", &number.to_string())));
        all
    }
}
