//! Tokens for programs: JSON Web Tokens, signed with HMAC-SHA-256, good for a quarter of an hour.
//!
//! Unlike a session, a token cannot be ended: whoever lost their role or their place keeps what it says until
//! it expires, hence the short life.

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::viewer::Viewer;

/// How long a token is good for, in seconds.
pub(crate) const LIFE_SECONDS: u32 = 15 * 60;
/// Who says so.
const ISSUER: &str = "company-directory";

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    iat: i64,
    exp: i64,
    viewer: Viewer,
}

/// Signs tokens and reads those it signed.
pub(crate) struct Tokens {
    sign: EncodingKey,
    read: DecodingKey,
    validation: Validation,
}

impl Tokens {
    pub(crate) fn new(key: &str) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        validation.leeway = 0;
        Self {
            sign: EncodingKey::from_secret(key.as_bytes()),
            read: DecodingKey::from_secret(key.as_bytes()),
            validation,
        }
    }

    /// A token for the viewer.
    pub(crate) fn issue(&self, viewer: Viewer, now: Timestamp) -> Result<String, jsonwebtoken::errors::Error> {
        let iat = now.as_second();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: viewer.who.to_string(),
            iat,
            exp: iat + i64::from(LIFE_SECONDS),
            viewer,
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.sign)
    }

    /// Whom a token was issued to and until when it is good, if we signed it and it still is.
    pub(crate) fn read(&self, token: &str) -> Option<(Viewer, Timestamp)> {
        let Claims { viewer, exp, .. } = decode(token, &self.read, &self.validation).ok()?.claims;
        Some((viewer, Timestamp::from_second(exp).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use jiff::{Timestamp, ToSpan};

    use super::Tokens;
    use crate::person::{PersonId, Role};
    use crate::viewer::{Viewer, Who};

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn viewer() -> Viewer {
        let tenant = "acme".parse().unwrap();
        Viewer { tenant, who: Who::Person(PersonId(7)), name: "Ada".to_owned(), role: Role::User }
    }

    #[test]
    fn a_token_names_its_viewer_until_it_expires() {
        let tokens = Tokens::new(KEY);
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
        let fresh = tokens.issue(viewer(), now).unwrap();
        assert_eq!(tokens.read(&fresh).unwrap(), (viewer(), now + 15.minutes()));
        let old = tokens.issue(viewer(), Timestamp::now() - 16.minutes()).unwrap();
        assert!(tokens.read(&old).is_none());
    }

    #[test]
    fn a_token_of_another_key_or_without_signature_is_none() {
        let tokens = Tokens::new(KEY);
        let foreign = Tokens::new(&KEY.replace('0', "x")).issue(viewer(), Timestamp::now()).unwrap();
        assert!(tokens.read(&foreign).is_none());
        let own = tokens.issue(viewer(), Timestamp::now()).unwrap();
        let claims = own.split('.').nth(1).unwrap();
        let unsigned = format!("{}.{claims}.", BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#));
        assert!(tokens.read(&unsigned).is_none());
    }
}
