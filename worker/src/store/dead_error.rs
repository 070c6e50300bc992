//! Why attempts to apply dead letters failed.

use std::fmt::Write;

use protocol::time::Timestamp;
use sea_orm::{ConnectionTrait, EntityTrait, IntoActiveModel};
use sha2::{Digest, Sha256};

use super::entity::dead_letter_error;
use super::{Context, StoreError};

/// Adds why an attempt to apply a dead letter failed.
pub(crate) async fn insert_error(
    transaction: &impl ConnectionTrait,
    letter: i64,
    replay: i32,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let row = dead_letter_error::Model { letter, replay, at: now.as_millis(), reason: storable(reason) };
    let insert = dead_letter_error::Entity::insert(row.into_active_model());
    insert.exec_without_returning(transaction).await.context("inserting a dead letter's error")?;
    Ok(())
}

/// PostgreSQL stores no NUL in text, and nothing may keep a dead letter from being stored.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The same for the same error, wherever in the message it lies.
pub(crate) fn fingerprint(reason: &str) -> String {
    let somewhere = reason.split(' ').scan("", |before, word| {
        let is_place = matches!(*before, "line" | "column") && word.starts_with(|first: char| first.is_ascii_digit());
        *before = word;
        Some(if is_place { "#" } else { word })
    });
    let digest = Sha256::digest(somewhere.collect::<Vec<_>>().join(" ").as_bytes());
    digest.iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
