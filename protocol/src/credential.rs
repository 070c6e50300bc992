//! Bearer tokens: `rst_<public id>_<secret><checksum>`. Only the SHA-256 of the whole token is ever kept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::id::{TokenId, WorkspaceId};
use crate::profile::Profile;
use crate::time::Timestamp;

const PREFIX: &str = "rst_";
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 32 bytes in base62.
const SECRET_LENGTH: usize = 43;
/// A CRC32 in base62.
const CHECKSUM_LENGTH: usize = 6;
/// 9 bytes in base62.
const PUBLIC_ID_LENGTH: usize = 13;

/// A bearer token in the clear. It prints as `rst_<public id>_***`; only [`Token::reveal`] shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    id: TokenId,
    text: String,
}

impl Token {
    /// Makes a token from random bytes: 9 for the public part, 32 for the secret.
    pub fn from_random(public: [u8; 9], secret: [u8; 32]) -> Result<Self, InvalidToken> {
        let id = base62(&public, PUBLIC_ID_LENGTH);
        let body = format!("{PREFIX}{id}_{}", base62(&secret, SECRET_LENGTH));
        let text = format!("{body}{}", checksum(&body));
        Ok(Self { id: id.parse().map_err(|_| InvalidToken)?, text })
    }

    /// The public part.
    pub fn id(&self) -> &TokenId {
        &self.id
    }

    /// The whole token, to be shown once.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// What is kept of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash(hex(&Sha256::digest(self.text.as_bytes())))
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    /// Refuses by form and checksum alone what cannot be one of our tokens, without a question to a worker.
    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let length = PREFIX.len() + PUBLIC_ID_LENGTH + 1 + SECRET_LENGTH + CHECKSUM_LENGTH;
        if text.len() != length || !text.is_ascii() {
            return Err(InvalidToken);
        }
        let (body, check) = text.split_at(length - CHECKSUM_LENGTH);
        let (id, secret) = body.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or(InvalidToken)?;
        let alphanumeric = secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if id.len() != PUBLIC_ID_LENGTH || !alphanumeric || checksum(body) != check {
            return Err(InvalidToken);
        }
        Ok(Self { id: id.parse().map_err(|_| InvalidToken)?, text: text.to_owned() })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}_***", self.id)
    }
}

/// The text is not one of our tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a rosterd token")]
pub struct InvalidToken;

/// SHA-256 of a whole token, lower-case hex. The secret has 256 random bits, so a fast hash is the right one.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(String);

impl TokenHash {
    /// As kept in SQL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As read from SQL.
    pub fn from_hex(hex: String) -> Self {
        Self(hex)
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for TokenHash {}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(***)")
    }
}

/// What workers know of a token, and project to every ingress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    /// The public part of the token.
    pub id: TokenId,
    /// The workspace that it opens.
    pub workspace: WorkspaceId,
    /// What the operator calls it.
    pub label: String,
    /// Against which a token is checked.
    pub hash: TokenHash,
    /// Raised by every change of this row; a projection never goes back.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working; never without it.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When a request last came with it, to the minute; in lists only, not in what is projected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// How requests of its workspace are served.
    #[serde(default, skip_serializing_if = "Profile::is_default")]
    pub profile: Profile,
}

impl Credential {
    /// Whether the token works at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether `token` opens `workspace` at `now`.
    pub fn admits(&self, token: &Token, workspace: &WorkspaceId, now: Timestamp) -> bool {
        self.is_live(now) && self.workspace == *workspace && self.hash == token.hash()
    }
}

/// Big-endian bytes as a base62 number of at least `length` digits.
fn base62(bytes: &[u8], length: usize) -> String {
    let mut digits: Vec<u8> = Vec::with_capacity(length);
    for &byte in bytes {
        let mut carry = u32::from(byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = u8::try_from(carry % 62).unwrap_or(0);
            carry /= 62;
        }
        while carry > 0 {
            digits.push(u8::try_from(carry % 62).unwrap_or(0));
            carry /= 62;
        }
    }
    digits.resize(digits.len().max(length), 0);
    digits.iter().rev().filter_map(|digit| BASE62.get(usize::from(*digit))).map(|&byte| char::from(byte)).collect()
}

fn checksum(body: &str) -> String {
    base62(&crc32fast::hash(body.as_bytes()).to_be_bytes(), CHECKSUM_LENGTH)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for nibble in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(nibble), 16));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token::from_random([7; 9], [200; 32]).unwrap()
    }

    #[test]
    fn a_token_is_read_back_and_keeps_its_length() {
        for (public, secret) in [([0; 9], [0; 32]), ([255; 9], [255; 32]), ([7; 9], [200; 32])] {
            let token = Token::from_random(public, secret).unwrap();
            assert_eq!(token.reveal().parse::<Token>().unwrap(), token);
        }
    }

    #[test]
    fn one_wrong_character_is_refused_without_asking() {
        let text = token().reveal().replace('_', "-");
        assert_eq!(text.parse::<Token>(), Err(InvalidToken));
        let mut text = token().reveal().to_owned();
        let last = text.pop().unwrap();
        text.push(if last == 'a' { 'b' } else { 'a' });
        assert_eq!(text.parse::<Token>(), Err(InvalidToken));
    }

    #[test]
    fn a_token_never_prints_its_secret() {
        let printed = format!("{:?} {:?}", token(), token().hash());
        let secret = token().reveal().rsplit('_').next().unwrap().to_owned();
        assert!(!printed.contains(&secret) && !printed.contains(token().hash().as_str()), "{printed}");
    }

    #[test]
    fn a_credential_admits_only_its_token_in_its_workspace_while_it_lives() {
        let now = Timestamp::from_millis(1_000);
        let acme: WorkspaceId = "acme".parse().unwrap();
        let credential = Credential {
            id: token().id().clone(),
            workspace: acme.clone(),
            label: "Okta".to_owned(),
            hash: token().hash(),
            version: 1,
            created_at: now,
            expires_at: Some(Timestamp::from_millis(2_000)),
            revoked_at: None,
            last_used_at: None,
            profile: Profile::default(),
        };
        assert!(credential.admits(&token(), &acme, now));
        assert!(!credential.admits(&token(), &"globex".parse().unwrap(), now));
        assert!(!credential.admits(&token(), &acme, Timestamp::from_millis(2_000)));
        assert!(!credential.admits(&Token::from_random([7; 9], [1; 32]).unwrap(), &acme, now));
        let revoked = Credential { revoked_at: Some(now), ..credential };
        assert!(!revoked.admits(&token(), &acme, now));
    }
}
