//! The page of all metrics, family by family.

use std::fmt::{Display, Write};
use std::time::Duration;

use protocol::message::envelope::FORMAT_VERSION;
use protocol::message::status::LogStatus;
use protocol::time::Timestamp;

use super::{Counter, Counters, Histograms};
use crate::operations::COMMIT;

/// Ticks of the processor's time in a second, as Linux counts it for programs on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// A page of metrics that is being written.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// The text, for Prometheus.
    pub fn into_text(self) -> String {
        self.0
    }

    /// A counter.
    pub fn counter(&mut self, name: &str, help: &str, counter: &Counter) {
        self.family(name, "counter", help);
        self.sample(name, &[], counter.get());
    }

    /// Counters by labels.
    pub fn counters<const N: usize>(&mut self, name: &str, help: &str, names: [&str; N], counters: &Counters<N>) {
        self.family(name, "counter", help);
        for (values, count) in counters.all() {
            self.sample(name, &labelled(names, values.each_ref().map(AsRef::as_ref)), count);
        }
    }

    /// A gauge; no sample if its value is not known.
    pub fn gauge(&mut self, name: &str, help: &str, value: Option<impl Display>) {
        self.family(name, "gauge", help);
        if let Some(value) = value {
            self.sample(name, &[], value);
        }
    }

    /// A gauge by labels.
    pub fn gauges<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        names: [&'a str; N],
        samples: impl IntoIterator<Item = ([&'a str; N], impl Display)>,
    ) {
        self.family(name, "gauge", help);
        for (values, value) in samples {
            self.sample(name, &labelled(names, values), value);
        }
    }

    /// Measures by labels.
    pub fn histograms<const N: usize>(&mut self, name: &str, help: &str, names: [&str; N], histograms: &Histograms<N>) {
        self.family(name, "histogram", help);
        for (values, measured) in histograms.all() {
            let labels = labelled(names, values.each_ref().map(AsRef::as_ref));
            let bounds = histograms.bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
            let mut total = 0;
            for (bound, within) in bounds.zip(&measured.within) {
                total += within;
                let bounded: Vec<(&str, &str)> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
                self.sample(&format!("{name}_bucket"), &bounded, total);
            }
            self.sample(&format!("{name}_sum"), &labels, measured.sum);
            self.sample(&format!("{name}_count"), &labels, total);
        }
    }

    /// The log, as the broker describes it; no samples if it does not.
    pub fn log(&mut self, log: Option<&LogStatus>) {
        let lanes = || log.into_iter().flat_map(|log| &log.lanes);
        let pending = lanes().map(|lane| ([lane.lane.as_str()], lane.pending));
        self.gauges("rosterd_pending", "Messages that were delivered to no worker yet.", ["lane"], pending);
        let ack_pending = lanes().map(|lane| ([lane.lane.as_str()], lane.ack_pending));
        self.gauges("rosterd_ack_pending", "Messages delivered and not acknowledged.", ["lane"], ack_pending);
        let oldest = lanes().map(|lane| ([lane.lane.as_str()], seconds(lane.oldest_ms.unwrap_or(0))));
        let help = "How long ago the oldest message was stored that the log still holds.";
        self.gauges("rosterd_oldest_pending_seconds", help, ["lane"], oldest);
        let paused = lanes().map(|lane| ([lane.lane.as_str()], u8::from(lane.paused.is_some())));
        self.gauges("rosterd_lane_paused", "Whether an operator has paused the lane.", ["lane"], paused);
        self.gauge("rosterd_log_last", "The last sequence of the log.", log.map(|log| log.last_sequence));
        self.gauge("rosterd_log_bytes", "Bytes that the log holds.", log.map(|log| log.bytes));
        let max_bytes = log.and_then(|log| log.max_bytes);
        self.gauge("rosterd_log_max_bytes", "Bytes that the log may hold.", max_bytes);
        let replicas =
            log.into_iter().flat_map(|log| [(["wanted"], log.replicas_wanted), (["actual"], log.replicas_actual)]);
        self.gauges("rosterd_log_replicas", "Servers of the broker that keep the log.", ["kind"], replicas);
    }

    /// The connection to the broker.
    pub fn broker(&mut self, is_up: bool, reconnects: &Counter, refusals: &Counter) {
        self.gauge("rosterd_broker_connected", "Whether the broker is connected.", Some(u8::from(is_up)));
        self.counter("rosterd_broker_reconnects_total", "Connections to the broker after the first.", reconnects);
        self.counter("rosterd_broker_refusals_total", "What the broker did not permit.", refusals);
    }

    /// What every process has: its build, and what the system gives it.
    pub fn process(&mut self, version: &str, started_at: Timestamp) {
        let envelope = FORMAT_VERSION.to_string();
        let build = [([version, COMMIT, envelope.as_str()], 1)];
        self.gauges("rosterd_build_info", "What runs.", ["version", "commit", "envelope"], build);
        let started = started_at.as_millis() / 1000;
        self.gauge("process_start_time_seconds", "When the process was started, since 1970.", Some(started));
        let ticks = proc_file("stat").and_then(|stat| processor_ticks(&stat));
        self.family("process_cpu_seconds_total", "counter", "Time of the processor that was used.");
        if let Some(ticks) = ticks {
            self.sample("process_cpu_seconds_total", &[], ticks / TICKS_PER_SECOND);
        }
        let status = proc_file("status").unwrap_or_default();
        self.gauge("process_resident_memory_bytes", "Memory that is used.", bytes_of(&status, "VmRSS:"));
        self.gauge("process_virtual_memory_bytes", "Memory that is mapped.", bytes_of(&status, "VmSize:"));
        let files = std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        self.gauge("process_open_fds", "Open files and connections.", files);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        if labels.is_empty() {
            self.line(format_args!("{name} {value}"));
        } else {
            self.line(format_args!("{name}{{{}}} {value}", labels.join(",")));
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{line}");
    }
}

/// Milliseconds as seconds.
fn seconds(milliseconds: u64) -> f64 {
    Duration::from_millis(milliseconds).as_secs_f64()
}

fn labelled<'a, const N: usize>(names: [&'a str; N], values: [&'a str; N]) -> Vec<(&'a str, &'a str)> {
    names.into_iter().zip(values).collect()
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn proc_file(name: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/self/{name}")).ok()
}

/// Of user and system: the 14th and the 15th field, of which the 2nd is in parentheses and may hold spaces.
fn processor_ticks(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    ticks.sum::<Result<f64, _>>().ok()
}

fn bytes_of(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        static REQUESTS: Counters<2> = Counters::new();
        static TOOK: Histograms<0> = Histograms::new(&[0.1, 1.0]);
        REQUESTS.add_one(["/a\"b", "GET"]);
        for seconds in [0.05, 0.1, 0.5, 2.0] {
            TOOK.observe::<&str>([], seconds);
        }
        let mut page = Page::default();
        page.counters("requests_total", "Requests.", ["route", "method"], &REQUESTS);
        page.histograms("took_seconds", "How long.", [], &TOOK);
        page.gauge("unknown", "Not known.", None::<u64>);
        let lines: Vec<String> = page.into_text().lines().map(str::to_owned).collect();
        assert_eq!(
            lines,
            [
                "# HELP requests_total Requests.",
                "# TYPE requests_total counter",
                "requests_total{route=\"/a\\\"b\",method=\"GET\"} 1",
                "# HELP took_seconds How long.",
                "# TYPE took_seconds histogram",
                "took_seconds_bucket{le=\"0.1\"} 2",
                "took_seconds_bucket{le=\"1\"} 3",
                "took_seconds_bucket{le=\"+Inf\"} 4",
                "took_seconds_sum 2.65",
                "took_seconds_count 4",
                "# HELP unknown Not known.",
                "# TYPE unknown gauge",
            ]
        );
    }

    #[test]
    fn the_time_of_the_processor_is_found_behind_any_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 120 30 0 0 20 0 1 0 5 6 7";
        assert_eq!(processor_ticks(stat), Some(150.0));
        assert_eq!(bytes_of("Name:\tx\nVmRSS:\t    12 kB\n", "VmRSS:"), Some(12 * 1024));
    }
}
