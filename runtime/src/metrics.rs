//! Counts and measures in memory, and the page on which Prometheus reads them (text format 0.0.4).
//!
//! Counting is cheap: an atomic, or a short lock where there are labels. Labels have few values: no workspace, no id.

mod page;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

pub use self::page::Page;
use crate::lock::locked;

/// The values of a metric's labels, in the order of their names.
pub type Labels<const N: usize> = [Cow<'static, str>; N];

/// What only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// What goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

/// Counters that differ in their labels.
#[derive(Debug, Default)]
pub struct Counters<const N: usize>(Mutex<BTreeMap<Labels<N>, u64>>);

/// How often a measure was within each of some bounds, by labels.
#[derive(Debug)]
pub struct Histograms<const N: usize> {
    /// Upper bounds, ascending.
    bounds: &'static [f64],
    measured: Mutex<BTreeMap<Labels<N>, Measured>>,
}

#[derive(Debug, Clone, Default)]
struct Measured {
    /// How many were within each bound and beyond the one before; the last are beyond all.
    within: Vec<u64>,
    sum: f64,
}

/// Adds one to a gauge until it is dropped.
#[derive(Debug)]
pub struct Counted(&'static Gauge);

impl Counter {
    /// Nothing was counted yet.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// One more.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    /// 0.
    pub const fn new() -> Self {
        Self(AtomicI64::new(0))
    }

    /// This, from now on.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// So many, from now on.
    pub fn set_count(&self, count: usize) {
        self.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// One more until what comes back is dropped.
    pub fn count(&'static self) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(self)
    }

    /// What it is.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// What it is, for what is never negative.
    pub fn get_count(&self) -> u64 {
        u64::try_from(self.get()).unwrap_or(0)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<const N: usize> Counters<N> {
    /// Nothing was counted yet.
    pub const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// One more with these labels.
    pub fn add_one(&self, labels: [impl Into<Cow<'static, str>>; N]) {
        self.add(labels, 1);
    }

    /// So many more with these labels. Zero makes them known.
    pub fn add(&self, labels: [impl Into<Cow<'static, str>>; N], count: u64) {
        *locked(&self.0).entry(labels.map(Into::into)).or_default() += count;
    }

    /// How many there were with these labels.
    pub fn get(&self, labels: [&'static str; N]) -> u64 {
        locked(&self.0).get(&labels.map(Cow::Borrowed)).copied().unwrap_or(0)
    }

    fn all(&self) -> BTreeMap<Labels<N>, u64> {
        locked(&self.0).clone()
    }
}

impl<const N: usize> Histograms<N> {
    /// Nothing was measured yet. The bounds are upper ones, ascending.
    pub const fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, measured: Mutex::new(BTreeMap::new()) }
    }

    /// A measure.
    pub fn observe<L: Into<Cow<'static, str>>>(&self, labels: [L; N], value: f64) {
        let place = self.bounds.iter().take_while(|bound| **bound < value).count();
        let mut measured = locked(&self.measured);
        let measured = measured.entry(labels.map(Into::into)).or_default();
        measured.within.resize(self.bounds.len() + 1, 0);
        if let Some(within) = measured.within.get_mut(place) {
            *within += 1;
        }
        measured.sum += value;
    }

    fn all(&self) -> BTreeMap<Labels<N>, Measured> {
        locked(&self.measured).clone()
    }
}

impl Histograms<0> {
    /// How long something took, in seconds.
    pub fn took(&self, span: Duration) {
        self.observe::<&str>([], span.as_secs_f64());
    }
}
