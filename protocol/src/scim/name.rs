//! The canonical form in which names are compared and kept unique.

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizer;
use serde::{Deserialize, Serialize};

/// A userName or displayName as the unique index sees it: NFC and case folding, so that `Ａlice` differs from `alice`
/// but `ALICE`, `Alice` and any composition of accents do not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CanonicalName(String);

impl CanonicalName {
    /// The canonical form of a name.
    pub fn of(name: &str) -> Self {
        // The same for ASCII, and much faster: filters in memory compare by this form.
        if name.is_ascii() {
            return Self(name.to_ascii_lowercase());
        }
        // Folding can break the composed form and folding a decomposed one can miss: so on both sides of it.
        let normalizer = ComposingNormalizer::new_nfc();
        let composed = normalizer.normalize(name);
        let folded = CaseMapper::new().fold_string(&composed);
        Self(normalizer.normalize(&folded).into_owned())
    }

    /// As kept in SQL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_are_one_name() {
        for (left, right) in [("Alice", "aLICE"), ("Zoe\u{308}", "ZO\u{cb}"), ("Straße", "STRASSE")] {
            assert_eq!(CanonicalName::of(left), CanonicalName::of(right));
        }
        assert_ne!(CanonicalName::of("alice"), CanonicalName::of("alicé"));
    }
}
