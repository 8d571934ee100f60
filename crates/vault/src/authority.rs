//! The local authority: certificates for development, by an authority that only its own machine trusts. Start reading at
//! [`LocalAuthority::open_or_create`].
//!
//! Made once per vault and kept in it as one value: JSON with `name` (the common name), `not_after`, and
//! `certificate` and `key` as PEM. It vouches
//! only for names that nobody on the internet can own, and says so in its certificate ([`UNOWNED_DOMAINS`], and of addresses
//! those of the machine itself): whoever steals the key of an authority that a developer's browser trusts can pretend to be
//! none but these.

use std::fmt;
use std::net::Ipv6Addr;
use std::time::Duration;

use model::host::{UNOWNED_DOMAINS, is_unowned};
use model::{SecretPath, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use zeroize::Zeroizing;

use crate::error::{ReadError, WriteError};
use crate::secret::SecretValue;
use crate::store::Vault;

/// How long an authority is trusted.
pub const AUTHORITY_LIFE: Duration = Duration::from_secs(3650 * DAY);
/// How long a certificate is good for at the most.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(90 * DAY);
/// How long before its end a certificate is renewed.
pub const RENEWAL_TIME: Duration = Duration::from_secs(30 * DAY);
/// How far the clocks of clients may be behind.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);
/// Hosts of one certificate.
pub const HOSTS_MAX: usize = 100;
/// Bytes of a host name (RFC 1035, section 2.3.4).
const HOST_BYTES_MAX: usize = 253;
/// Bytes of a label.
const LABEL_BYTES_MAX: usize = 63;
/// Bytes of a common name (RFC 5280, appendix A.1).
const COMMON_NAME_BYTES_MAX: usize = 64;
const DAY: u64 = 24 * 3600;
const LOOPBACK_V6: [u8; 16] = Ipv6Addr::LOCALHOST.octets();

/// An authority with its key.
pub struct LocalAuthority {
    certificate: String,
    not_after: Timestamp,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate that the authority has made.
#[derive(Debug)]
pub struct Issued {
    /// The certificate as PEM. Clients that trust the authority need no other.
    pub chain: String,
    /// Its private key as PEM.
    pub key: SecretValue,
    /// When it ends.
    pub not_after: Timestamp,
}

/// What the vault keeps of an authority.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    name: String,
    not_after: Timestamp,
    certificate: String,
    key: Zeroizing<String>,
}

/// The authority cannot be opened or made, or does not certify.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The vault could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The vault could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// What the vault keeps is no authority.
    #[error("the local authority in the vault is damaged: put the vault back from a backup")]
    Damaged,
    /// The certificate library refused.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// A certificate is for hosts.
    #[error("a certificate is for 1 to {HOSTS_MAX} hosts, not {found}")]
    Hosts {
        /// How many were asked for.
        found: usize,
    },
    /// A text is no host.
    #[error("{0:?} is not a host: letters, digits and hyphens between dots, the first label may be *")]
    Host(String),
    /// Somebody else may own the host.
    #[error(
        "the local authority does not vouch for {0}: it does for names under {list}; give this host a certificate of \
         its own, or a name under one of these",
        list = UNOWNED_DOMAINS.join(", ")
    )]
    NotVouchedFor(String),
}

impl LocalAuthority {
    /// The vault's authority, which is made when there is none that will last.
    pub fn open_or_create(vault: &Vault, of: &str, now: Timestamp) -> Result<Self, AuthorityError> {
        match Self::open(vault, now)? {
            Some(authority) => Ok(authority),
            None => Self::create(vault, of, now),
        }
    }

    /// The vault's authority; `None` where there is none, or where it ends before a certificate of today would.
    pub fn open(vault: &Vault, now: Timestamp) -> Result<Option<Self>, AuthorityError> {
        let Some((_, value)) = vault.get(&SecretPath::LocalAuthority, None)? else { return Ok(None) };
        let kept: Kept = serde_json::from_str(value.expose()).map_err(|_| AuthorityError::Damaged)?;
        let lasts = kept.not_after >= now.after(CERTIFICATE_LIFE);
        lasts.then(|| Self::of(kept)).transpose()
    }

    /// Makes an authority in place of the one there may be. `of` names whose it is: browsers list it by that.
    pub fn create(vault: &Vault, of: &str, now: Timestamp) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let not_after = now.after(AUTHORITY_LIFE);
        let name = common_name(&format!("Mainstay local authority of {of}")).to_owned();
        let mut params = authority_params(&name)?;
        within(&mut params, now.before(CLOCK_SKEW), not_after);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.name_constraints = Some(constraints());
        let certificate = params.self_signed(&key)?.pem();
        let kept = Kept { name, not_after, certificate, key: Zeroizing::new(key.serialize_pem()) };
        let text = serde_json::to_string(&kept).map_err(|_| AuthorityError::Damaged)?;
        vault.set(&SecretPath::LocalAuthority, &SecretValue::new(text).map_err(WriteError::from)?, now)?;
        Self::of(kept)
    }

    fn of(kept: Kept) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(&kept.key).map_err(|_| AuthorityError::Damaged)?;
        let issuer = Issuer::new(authority_params(&kept.name)?, key);
        Ok(Self { certificate: kept.certificate, not_after: kept.not_after, issuer })
    }

    /// The authority's own certificate as PEM: what a client is told to trust.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate
    }

    /// A certificate for hosts: names, or `*.` and the name above them.
    pub fn issue(&self, hosts: &[String], now: Timestamp) -> Result<Issued, AuthorityError> {
        let [first, ..] = hosts else { return Err(AuthorityError::Hosts { found: 0 }) };
        if hosts.len() > HOSTS_MAX {
            return Err(AuthorityError::Hosts { found: hosts.len() });
        }
        hosts.iter().try_for_each(|host| check(host))?;
        let not_before = now.before(CLOCK_SKEW);
        let not_after = not_before.after(CERTIFICATE_LIFE).min(self.not_after);
        let mut params = named(hosts.to_vec(), common_name(first))?;
        within(&mut params, not_before, not_after);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let chain = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Issued { chain, key: SecretValue::new(key.serialize_pem()).map_err(WriteError::from)?, not_after })
    }
}

impl fmt::Debug for LocalAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalAuthority(until {})", self.not_after)
    }
}

/// Whether a certificate that ends then is to be renewed now.
pub fn is_renewal_due(not_after: Timestamp, now: Timestamp) -> bool {
    now >= not_after.before(RENEWAL_TIME)
}

/// Whether the authority certifies this host.
fn check(host: &str) -> Result<(), AuthorityError> {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() > HOST_BYTES_MAX || !name.split('.').all(is_label) {
        return Err(AuthorityError::Host(host.to_owned()));
    }
    let name = name.to_ascii_lowercase();
    match is_unowned(&name) {
        true => Ok(()),
        false => Err(AuthorityError::NotVouchedFor(host.to_owned())),
    }
}

/// Whom the authority may vouch for. A kind of name of which nothing is permitted would be free (RFC 5280, section 4.2.1.10).
fn constraints() -> NameConstraints {
    let domains = UNOWNED_DOMAINS.map(|domain| GeneralSubtree::DnsName(domain.to_owned()));
    let loopback = [CidrSubnet::V4([127, 0, 0, 0], [255, 0, 0, 0]), CidrSubnet::from_v6_prefix(LOOPBACK_V6, 128)];
    let permitted = domains.into_iter().chain(loopback.map(GeneralSubtree::IpAddress));
    NameConstraints { permitted_subtrees: permitted.collect(), excluded_subtrees: Vec::new() }
}

/// What the authority's own certificate and what it certifies have in common.
fn authority_params(name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = named(Vec::new(), name)?;
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(params)
}

/// Parameters of a certificate for these hosts, with this common name.
fn named(hosts: Vec<String>, common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(hosts)?;
    // The library's own name is the same for every certificate, which makes one look like its own issuer.
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

/// Makes a certificate valid between two moments, in whole seconds.
fn within(params: &mut CertificateParams, not_before: Timestamp, not_after: Timestamp) {
    let epoch = Timestamp::from_millis(0);
    // A clock before 1970 makes a certificate that nobody believes, and no panic.
    let moment = |at: Timestamp| date_time_ymd(1970, 1, 1) + Duration::from_secs(at.since(epoch).as_secs());
    (params.not_before, params.not_after) = (moment(not_before), moment(not_after));
}

/// As much of a text as a common name holds.
fn common_name(text: &str) -> &str {
    &text[..text.floor_char_boundary(COMMON_NAME_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_nobody_owns_are_certified() {
        for host in ["localhost", "acme.directory.localhost", "*.directory.localhost", "A.Test", "nas.home.arpa"] {
            assert!(check(host).is_ok(), "{host}");
        }
        for host in ["example.com", "*.example.com", "mylocalhost", "localhost.com", "arpa", "home.arpa.org"] {
            assert!(matches!(check(host), Err(AuthorityError::NotVouchedFor(_))), "{host}");
        }
        for host in ["", "*", "*.", "a.*.test", "**.test", "a b.test", "-a.test", "a..test", "ä.test", ".test"] {
            assert!(matches!(check(host), Err(AuthorityError::Host(_))), "{host}");
        }
    }

    #[test]
    fn a_certificate_is_renewed_in_its_last_third() {
        let not_after = Timestamp::from_millis(0).after(CERTIFICATE_LIFE);
        for (day, due) in [(0, false), (59, false), (60, true), (89, true), (90, true), (1000, true)] {
            let now = Timestamp::from_millis(0).after(Duration::from_secs(day * DAY));
            assert_eq!(is_renewal_due(not_after, now), due, "day {day}");
        }
    }

    #[test]
    fn a_long_name_is_cut_between_letters() {
        assert_eq!(common_name(&"ä".repeat(40)).len(), 64);
        assert_eq!(common_name(&format!("a{}", "ä".repeat(40))).len(), 63);
    }
}
