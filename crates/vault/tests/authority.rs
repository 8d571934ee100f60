//! The local authority, as `openssl` sees what it certifies.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use model::{SecretPath, Timestamp};
use rcgen::{CertificateParams, Issuer, KeyPair};
use vault::authority::{AUTHORITY_LIFE, CERTIFICATE_LIFE, HOSTS_MAX};
use vault::{AuthorityError, KeyFile, LocalAuthority, SecretValue, Vault};

/// A vault in a folder of one test, removed at its end.
struct Bench {
    folder: PathBuf,
    vault: Vault,
}

impl Bench {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("mainstay-authority-test-{}-{number}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let key = KeyFile::create(&folder.join("machine.key")).unwrap();
        let vault = Vault::create(&folder.join("vault"), &key, &[]).unwrap();
        Self { folder, vault }
    }

    fn authority(&self, now: Timestamp) -> LocalAuthority {
        LocalAuthority::open_or_create(&self.vault, "directory", now).unwrap()
    }

    /// What `openssl verify` says at a moment of a certificate for a host.
    fn verified(&self, authority: &LocalAuthority, certificate: &str, host: &str, now: Timestamp) -> String {
        self.chained(authority, certificate, now, &["-verify_hostname", host])
    }

    /// What it says of a certificate for whomever it names.
    fn chained(&self, authority: &LocalAuthority, certificate: &str, now: Timestamp, more: &[&str]) -> String {
        let write = |name: &str, text: &str| {
            let path = self.folder.join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let output = Command::new("openssl")
            .args(["verify", "-purpose", "sslserver"])
            .args(more)
            .args(["-attime", &(now.as_millis() / 1000).to_string()])
            .arg("-CAfile")
            .arg(write("authority.pem", authority.certificate_pem()))
            .arg(write("certificate.pem", certificate))
            .output()
            .unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn hosts(hosts: &[&str]) -> Vec<String> {
    hosts.iter().map(|&host| host.to_owned()).collect()
}

#[test]
fn what_it_certifies_verifies_for_its_hosts_while_it_lasts_and_for_nothing_else() {
    let bench = Bench::new();
    let authority = bench.authority(now());
    let issued = authority.issue(&hosts(&["directory.localhost", "*.directory.localhost"]), now()).unwrap();
    let last = issued.not_after.before(Duration::from_secs(1));
    let after = issued.not_after.after(Duration::from_secs(1));
    for (host, at, expected) in [
        ("directory.localhost", now(), ": OK"),
        ("acme.directory.localhost", now(), ": OK"),
        ("acme.directory.localhost", last, ": OK"),
        ("acme.directory.localhost", after, "certificate has expired"),
        ("a.b.directory.localhost", now(), "hostname mismatch"),
        ("other.localhost", now(), "hostname mismatch"),
    ] {
        let said = bench.verified(&authority, &issued.chain, host, at);
        assert!(said.contains(expected), "{host} at {at}: {said}");
    }
    assert!(issued.not_after.since(now()) <= CERTIFICATE_LIFE);
    assert!(issued.key.expose().starts_with("-----BEGIN PRIVATE KEY-----"));
}

#[test]
fn its_key_is_worth_nothing_for_names_and_addresses_that_somebody_owns() {
    let bench = Bench::new();
    let authority = bench.authority(now());
    let (_, stolen) = bench.vault.get(&SecretPath::LocalAuthority, None).unwrap().unwrap();
    let stolen: serde_json::Value = serde_json::from_str(stolen.expose()).unwrap();
    let key = KeyPair::from_pem(stolen["key"].as_str().unwrap()).unwrap();
    let mut own = CertificateParams::new(Vec::new()).unwrap();
    own.distinguished_name = rcgen::DistinguishedName::new();
    own.distinguished_name.push(rcgen::DnType::CommonName, stolen["name"].as_str().unwrap());
    let issuer = Issuer::new(own, key);
    let forged = |host: &str| {
        let params = CertificateParams::new(hosts(&[host])).unwrap();
        params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().pem()
    };
    for host in ["bank.example.com", "192.0.2.1", "10.0.0.1", "128.0.0.1", "2001:db8::1", "::2", "::ffff:127.0.0.1"] {
        let said = bench.chained(&authority, &forged(host), now(), &[]);
        assert!(said.contains("permitted subtree violation"), "{host}: {said}");
    }
    for host in ["directory.localhost", "127.0.0.1", "127.3.2.1", "::1"] {
        let said = bench.chained(&authority, &forged(host), now(), &[]);
        assert!(said.contains(": OK"), "{host}: {said}");
    }
}

#[test]
fn it_is_made_once_and_kept_encrypted() {
    let bench = Bench::new();
    let made = bench.authority(now()).certificate_pem().to_owned();
    assert_eq!(bench.authority(now().after(Duration::from_secs(3600))).certificate_pem(), made);
    let file = fs::read(bench.folder.join("vault/vault.redb")).unwrap();
    let holds = |text: &[u8]| file.windows(text.len()).any(|window| window == text);
    assert!(!holds(b"PRIVATE KEY") && !holds(b"BEGIN CERTIFICATE") && !holds(b"LocalAuthority"));
}

#[test]
fn another_is_made_when_it_would_end_before_its_certificates() {
    let bench = Bench::new();
    let made = bench.authority(now()).certificate_pem().to_owned();
    let late = now().after(AUTHORITY_LIFE).before(CERTIFICATE_LIFE);
    assert_eq!(bench.authority(late).certificate_pem(), made);
    assert_ne!(bench.authority(late.after(Duration::from_secs(1))).certificate_pem(), made);
}

#[test]
fn what_it_does_not_certify_is_refused_with_what_to_do() {
    let bench = Bench::new();
    let authority = bench.authority(now());
    let refused = |hosts: Vec<String>| authority.issue(&hosts, now()).unwrap_err().to_string();
    assert!(refused(hosts(&["example.com"])).contains("give this host a certificate of its own"));
    assert_eq!(refused(Vec::new()), "a certificate is for 1 to 100 hosts, not 0");
    assert_eq!(refused(vec!["a.test".to_owned(); HOSTS_MAX + 1]), "a certificate is for 1 to 100 hosts, not 101");
    assert!(refused(hosts(&["a b.test"])).contains("\"a b.test\" is not a host"));
}

#[test]
fn what_is_no_authority_is_said_to_be_damaged() {
    let bench = Bench::new();
    for text in ["{}", r#"{"name":"a","not_after":"2036-01-01T00:00:00Z","certificate":"","key":"hunter2"}"#] {
        let value = SecretValue::new(text.to_owned()).unwrap();
        bench.vault.set(&SecretPath::LocalAuthority, &value, now()).unwrap();
        let refused = LocalAuthority::open(&bench.vault, now());
        assert!(matches!(refused, Err(AuthorityError::Damaged)), "{refused:?}");
        assert!(!format!("{refused:?}").contains("hunter2"));
    }
}

#[test]
fn a_clock_out_of_its_mind_is_no_panic() {
    let bench = Bench::new();
    for millis in [i64::MIN, -1, 0, i64::MAX] {
        let now = Timestamp::from_millis(millis);
        let authority = LocalAuthority::create(&bench.vault, "directory", now).unwrap();
        assert!(authority.issue(&hosts(&["a.test"]), now).is_ok(), "{now}");
    }
}
