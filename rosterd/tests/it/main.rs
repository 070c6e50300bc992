//! The binary by itself: its command line, its guard, and the servers that it starts.

#[cfg(test)]
mod cli;
#[cfg(test)]
mod servers;
