//! What a figure was measured on.

use std::fmt;
use std::num::NonZero;

use serde::Serialize;

/// The machine, and how busy it was with other things.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Machine {
    cores: usize,
    processor: String,
    system: String,
    /// How many processes wanted to run in the minute before, on average.
    load_before: Option<f64>,
}

impl Machine {
    /// This machine, now.
    pub(super) fn this() -> Self {
        let kernel = read("/proc/sys/kernel/osrelease");
        Self {
            cores: std::thread::available_parallelism().map_or(1, NonZero::get),
            processor: processor(&read("/proc/cpuinfo")).unwrap_or(std::env::consts::ARCH).to_owned(),
            system: format!("{} {}", std::env::consts::OS, kernel.trim()).trim().to_owned(),
            load_before: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cores ({}), {}", self.cores, self.processor, self.system)?;
        match self.load_before {
            Some(load) => write!(f, ", load before {load:.1}"),
            None => Ok(()),
        }
    }
}

fn processor(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(": ").map(|(_, name)| name.trim())
}

/// A file of the kernel's; empty where there is none.
fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_says_how_busy_the_machine_was() {
        let processor = processor("processor\t: 0\nmodel name\t: Example CPU @ 2.00GHz\n").unwrap().to_owned();
        let machine = Machine { cores: 2, processor, system: "linux 6.1".to_owned(), load_before: Some(0.25) };
        assert_eq!(machine.to_string(), "2 cores (Example CPU @ 2.00GHz), linux 6.1, load before 0.2");
    }
}
