//! What the edge answers with over TLS: for which hosts, issued by whom, and until when. Start reading at [`issue`].

use std::collections::BTreeSet;

use edge::certificates::{Certificate, CertificateName, KeyText};
use model::Timestamp;
use model::edge::Edge;
use vault::authority::{HOSTS_MAX, is_renewal_due};
use vault::{AuthorityError, LocalAuthority};

/// What was issued.
#[derive(Debug, Default)]
pub(crate) struct Issue {
    hosts: BTreeSet<String>,
    /// When the first of the certificates ends; there is none without hosts.
    pub(crate) until: Option<Timestamp>,
}

impl Issue {
    /// Whether it is for exactly these hosts, and none of it is to be renewed yet.
    pub(crate) fn serves(&self, hosts: &BTreeSet<String>, now: Timestamp) -> bool {
        self.hosts == *hosts && !self.until.is_some_and(|until| is_renewal_due(until, now))
    }

    /// For how many hosts it is.
    pub(crate) fn hosts(&self) -> usize {
        self.hosts.len()
    }
}

/// The names that certificates are for: each host of the routes once. `None` where no HTTPS is served.
pub(crate) fn hosts(edge: &Edge) -> Option<BTreeSet<String>> {
    edge.listen.https.map(|_| edge.routes.iter().map(|route| route.host.certificate_name()).collect())
}

/// Certificates for all hosts, each for as many as one may be for.
pub(crate) fn issue(
    authority: &LocalAuthority,
    hosts: BTreeSet<String>,
    now: Timestamp,
) -> Result<(Issue, Vec<Certificate>), AuthorityError> {
    let mut certificates = Vec::new();
    let mut until: Option<Timestamp> = None;
    let all: Vec<String> = hosts.iter().cloned().collect();
    for hosts in all.chunks(HOSTS_MAX) {
        let issued = authority.issue(hosts, now)?;
        until = Some(until.map_or(issued.not_after, |until| until.min(issued.not_after)));
        let names = hosts.iter().map(|host| host.parse().map_err(|_| AuthorityError::Host(host.clone())));
        certificates.push(Certificate {
            names: names.collect::<Result<Vec<CertificateName>, _>>()?,
            chain: issued.chain,
            key: KeyText::new(issued.key.into_exposed()),
        });
    }
    Ok((Issue { hosts, until }, certificates))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use vault::authority::{CERTIFICATE_LIFE, RENEWAL_TIME};
    use vault::{KeyFile, Vault};

    use super::*;

    /// A vault of one test.
    struct Ground(PathBuf);

    impl Ground {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("mainstay-certificates-{name}-{}", std::process::id()));
            sys::files::remove(&folder).unwrap();
            std::fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn authority(&self, now: Timestamp) -> LocalAuthority {
            let vault = Vault::create(&self.0, &KeyFile::create(&self.0.join("key")).unwrap(), &[]).unwrap();
            LocalAuthority::open_or_create(&vault, "shop", now).unwrap()
        }
    }

    impl Drop for Ground {
        fn drop(&mut self) {
            sys::files::remove(&self.0).unwrap();
        }
    }

    fn edge(listen: &str) -> Edge {
        let text = format!(
            "stack: shop
services: {{ api: {{ run: bin/api }} }}
edge:
  listen: {{ {listen} }}
  routes:
    - {{ host: \"{{tenant}}.shop.test\", to: api }}
    - {{ host: \"{{tenant}}.shop.test\", path: /api/, to: api }}
    - {{ host: shop.test, to: api }}
"
        );
        let checked = config::check(&config::SourceFile::new("mainstay.yaml", text), None);
        checked.stack.unwrap().edge.unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }

    #[test]
    fn each_host_of_the_routes_has_a_certificate_until_it_is_renewed() {
        assert_eq!(hosts(&edge("http: 8080")), None);
        let hosts = hosts(&edge("https: 8443")).unwrap();
        assert_eq!(hosts.iter().collect::<Vec<_>>(), ["*.shop.test", "shop.test"]);
        let ground = Ground::new("each");
        let (issue, certificates) = issue(&ground.authority(now()), hosts.clone(), now()).unwrap();
        let names: Vec<String> = certificates[0].names.iter().map(ToString::to_string).collect();
        assert_eq!((certificates.len(), names), (1, vec!["*.shop.test".to_owned(), "shop.test".to_owned()]));
        assert!(issue.serves(&hosts, now()));
        assert!(!issue.serves(&BTreeSet::from(["shop.test".to_owned()]), now()), "the other is served no more");
        assert!(!issue.serves(&hosts, now().after(CERTIFICATE_LIFE - RENEWAL_TIME)));
    }

    #[test]
    fn more_hosts_than_one_certificate_holds_have_several() {
        let ground = Ground::new("many");
        let hosts: BTreeSet<String> = (0..=HOSTS_MAX).map(|number| format!("shop-{number}.test")).collect();
        let (issue, certificates) = issue(&ground.authority(now()), hosts.clone(), now()).unwrap();
        assert_eq!(certificates.iter().map(|it| it.names.len()).collect::<Vec<_>>(), [HOSTS_MAX, 1]);
        assert!(issue.serves(&hosts, now()));
    }
}
