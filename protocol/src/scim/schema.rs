//! Schemas as data (RFC 7643 §7, §8.7).
