//! TLS: versions, names, resumption, and certificates that change.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::Arc;

use edge::certificates::KeyText;
use edge::control::{ToEdge, ToNode};
use rustls::{ClientConfig, HandshakeKind, version};

use crate::bench::{Authority, Bench, Client, Secure, echo};

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

/// An edge with certificates for these names, and a client that trusts them.
fn secured(names: &[&[&str]]) -> (Bench, Authority, Arc<ClientConfig>) {
    let authority = Authority::new();
    let mut bench = Bench::new(&[echo()]);
    bench.certify(&authority, names);
    let config = authority.client(BOTH, &["http/1.1"]);
    (bench, authority, config)
}

/// Why a handshake fails.
fn refused(client: &mut Client<Secure>) -> String {
    client.reader.read(&mut [0]).unwrap_err().to_string()
}

#[test]
fn both_versions_serve_and_say_that_they_are_secure() {
    let (bench, authority, _) = secured(&[&["acme.test"]]);
    for (versions, expected) in
        [(&[&version::TLS13], rustls::ProtocolVersion::TLSv1_3), (&[&version::TLS12], rustls::ProtocolVersion::TLSv1_2)]
    {
        let mut client = bench.connect_securely(&authority.client(versions, &[]), "acme.test");
        let answer = client.get("/");
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains("X-Forwarded-Proto: https\r\n"), "{}", answer.text());
        assert_eq!(client.reader.get_ref().conn.protocol_version(), Some(expected));
    }
}

#[test]
fn each_name_has_its_own_certificate() {
    let (bench, _, config) = secured(&[&["acme.test", "other.test"], &["*.shop.test"], &["one.shop.test"]]);
    for name in ["acme.test", "other.test", "ACME.test", "one.shop.test", "two.shop.test"] {
        let mut client = bench.connect_securely(&config, name);
        client.send(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n"));
        // That the handshake succeeds shows it: the client verifies the name.
        assert!([200, 404].contains(&client.answer().status), "{name}");
    }
}

#[test]
fn a_name_that_nobody_is_known_by_gets_nobody_elses_certificate() {
    let (bench, _, config) = secured(&[&["acme.test"], &["*.shop.test"]]);
    for name in ["nobody.test", "shop.test", "a.b.shop.test", "test", "127.0.0.1"] {
        let why = refused(&mut bench.connect_securely(&config, name));
        assert!(why.contains("UnrecognisedName"), "{name}: {why}");
    }
}

#[test]
fn a_client_that_comes_before_the_certificates_waits_for_them() {
    let authority = Authority::new();
    let mut bench = Bench::new(&[echo()]);
    let mut client = bench.connect_securely(&authority.client(BOTH, &[]), "acme.test");
    let session = client.reader.get_mut();
    session.conn.write_tls(&mut session.sock).unwrap();
    bench.certify(&authority, &[&["acme.test"]]);
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn a_request_for_a_host_that_the_certificate_is_not_for_is_misdirected() {
    let (bench, _, config) = secured(&[&["acme.test"], &["other.test"]]);
    let mut client = bench.connect_securely(&config, "acme.test");
    client.send("GET / HTTP/1.1\r\nHost: other.test\r\nAccept: application/json\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().contains("misdirected_host")), (421, true), "{}", answer.text());
}

#[test]
fn sessions_are_resumed_in_both_versions_and_over_a_change_of_certificates() {
    for versions in [&[&version::TLS13], &[&version::TLS12]] {
        let (mut bench, authority, _) = secured(&[&["acme.test"]]);
        let config = authority.client(versions, &[]);
        let mut kinds = Vec::new();
        for round in 0..3 {
            let mut client = bench.connect_securely(&config, "acme.test");
            // Tickets of TLS 1.3 come behind the handshake, and are read with the answer.
            assert_eq!(client.get("/").status, 200, "{round}");
            kinds.push(client.reader.get_ref().conn.handshake_kind());
            if round == 1 {
                bench.certify(&authority, &[&["acme.test"]]);
            }
        }
        let resumed = Some(HandshakeKind::Resumed);
        assert_eq!((kinds[0], kinds[1], kinds[2]), (Some(HandshakeKind::Full), resumed, resumed), "{versions:?}");
    }
}

/// Fails when a handshake is refused because the edge has just begun.
#[test]
fn clients_wait_until_there_are_certificates() {
    let authority = Authority::new();
    let mut bench = Bench::new(&[echo()]);
    let mut client = bench.connect_securely(&authority.client(BOTH, &["http/1.1"]), "acme.test");
    let asking = std::thread::spawn(move || client.get("/").status);
    bench.certify(&authority, &[&["acme.test"]]);
    assert_eq!(asking.join().unwrap(), 200);
}

#[test]
fn new_certificates_are_for_new_connections_and_old_ones_go_on() {
    let (mut bench, authority, config) = secured(&[&["acme.test"]]);
    let mut old = bench.connect_securely(&config, "acme.test");
    assert_eq!(old.get("/").status, 200);
    bench.certify(&authority, &[&["other.test"]]);
    assert_eq!(old.get("/").status, 200);
    assert!(refused(&mut bench.connect_securely(&config, "acme.test")).contains("UnrecognisedName"));
}

#[test]
fn certificates_that_cannot_be_used_leave_the_others_in_place_and_say_why_without_the_key() {
    let (mut bench, authority, config) = secured(&[&["acme.test"]]);
    let good = bench.certificates.list[0].clone();
    let other = authority.certificate(&["acme.test"]);
    for (change, expected) in [
        ("chain", "the chain of the certificate for acme.test is no PEM"),
        ("key", "the key of the certificate for acme.test is no PEM"),
        ("pair", "the certificate for acme.test cannot be used with its key"),
        ("names", "has no name that it is used for"),
    ] {
        let mut broken = good.clone();
        match change {
            "chain" => broken.chain = "-----BEGIN".to_owned(),
            "key" => broken.key = KeyText::new(good.key.expose().replace("PRIVATE", "SECRET")),
            "pair" => broken.key = other.key.clone(),
            _ => broken.names.clear(),
        }
        let key = broken.key.expose().lines().nth(1).unwrap().to_owned();
        bench.certificates.number += 1;
        bench.certificates.list = vec![broken];
        let certificates = bench.certificates.clone();
        bench.tell(&ToEdge::Certificates(Box::new(certificates)));
        let why = loop {
            match bench.hear() {
                ToNode::CertificatesRefused { why, .. } => break why,
                ToNode::CertificatesApplied { .. } => panic!("{change} was taken"),
                _ => {}
            }
        };
        assert!(why.contains(expected) && !why.contains(&key), "{why}");
    }
    assert_eq!(bench.connect_securely(&config, "acme.test").get("/").status, 200);
}

/// Fails when a browser is told to insist on HTTPS for what the local authority vouches for.
#[test]
fn no_browser_is_told_to_insist_on_https() {
    let (mut bench, _, config) = secured(&[&["acme.test"]]);
    bench.apply(|settings| settings.strict_headers = true);
    let answer = bench.connect_securely(&config, "acme.test").get("/");
    assert_eq!(
        ["x-content-type-options", "strict-transport-security"].map(|it| answer.field(it)),
        [Some("nosniff"), None]
    );
}

/// Runs a program and gives back what it prints, on both ways.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn clients_of_other_making_agree() {
    let (bench, authority, _) = secured(&[&["acme.test"]]);
    let file = std::env::temp_dir().join(format!("edge-test-authority-{}.pem", std::process::id()));
    std::fs::write(&file, &authority.pem).unwrap();
    let (pem, at, port) = (file.to_str().unwrap(), bench.secure.to_string(), bench.secure.port());
    let (resolve, url) = (format!("acme.test:{port}:127.0.0.1"), format!("https://acme.test:{port}/"));
    for (version, expected) in [("--http2", "2 200"), ("--http1.1", "1.1 200")] {
        let print = "%{http_version} %{http_code}";
        let said = output(
            "curl",
            &["-sS", version, "--cacert", pem, "--resolve", &resolve, "-o", "/dev/null", "-w", print, &url],
        );
        assert_eq!(said, expected);
    }
    for (version, name, expected) in [
        ("-tls1_2", "acme.test", "Verify return code: 0 (ok)"),
        ("-tls1_3", "acme.test", "Verify return code: 0 (ok)"),
        ("-tls1_1", "acme.test", "no peer certificate available"),
        ("-tls1_3", "nobody.test", "unrecognized name"),
        ("-tls1_2", "nobody.test", "unrecognized name"),
    ] {
        let said = output(
            "openssl",
            &["s_client", "-connect", &at, "-servername", name, "-verify_return_error", "-CAfile", pem, version],
        );
        assert!(said.contains(expected), "{version} {name}: {said}");
    }
    let nameless = output("openssl", &["s_client", "-connect", &at, "-noservername", "-CAfile", pem]);
    assert!(nameless.contains("unrecognized name"), "{nameless}");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn http_2_by_prior_knowledge_is_refused_on_the_plain_port() {
    let bench = Bench::new(&[echo()]);
    let mut client = bench.connect();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(client.answer().status, 505);
    assert!(client.is_ended());
}
