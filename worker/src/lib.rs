//! Applies the log to SQL, each operation exactly once and in order, and answers what is read.

pub mod accepted;
