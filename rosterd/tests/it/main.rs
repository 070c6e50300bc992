//! The binary by itself: its command line, its guard, and the servers that it starts; and the tests of the benchmarks.

#[cfg(test)]
#[path = "../../../tests/bench/benchmarks.rs"]
mod benchmarks;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod servers;
