//! The broker's clock as its clients see it: every time that nats-server writes, moved by some seconds, in place.
//!
//! Clients learn the time from the subject that acknowledges a delivery, `$JS.ACK.<stream>.<consumer>.<delivered>.<stream
//! sequence>.<consumer sequence>.<nanoseconds>.<pending>`, and from `ts` and `time` in the answers of JetStream's API.

use std::ops::Range;

use chrono::{Duration, NaiveDateTime};

/// How a delivery's subject begins.
const ACK: &[u8] = b"$JS.ACK.";
/// How a time in JSON begins.
const TIMES: [&[u8]; 2] = [b"\"ts\":\"", b"\"time\":\""];
/// A time without its fraction and zone, which stay as they are.
const SECONDS: &str = "%Y-%m-%dT%H:%M:%S";
const SECONDS_LENGTH: usize = 19;

/// What passes in one direction of one connection.
#[derive(Debug, Default)]
pub(super) struct Clock {
    seconds: i64,
    /// The beginning of a line whose end has not come: everything that a broker sends ends with one.
    begun: Vec<u8>,
}

impl Clock {
    pub(super) fn set(&mut self, seconds: i64) {
        self.seconds = seconds;
    }

    /// What is to pass now, unless it is the chunk itself.
    pub(super) fn show(&mut self, chunk: &[u8]) -> Option<Vec<u8>> {
        if self.seconds == 0 && self.begun.is_empty() {
            return None;
        }
        let mut bytes = std::mem::take(&mut self.begun);
        bytes.extend_from_slice(chunk);
        if self.seconds == 0 {
            return Some(bytes);
        }
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.begun = bytes.split_off(whole);
        shift(&mut bytes, self.seconds);
        Some(bytes)
    }
}

/// Moves every time in these lines.
fn shift(bytes: &mut [u8], seconds: i64) {
    for start in found(bytes, ACK) {
        if let Some(place) = nanoseconds(bytes, start) {
            let text = std::str::from_utf8(&bytes[place.clone()]).unwrap();
            let moved = text.parse::<i64>().unwrap() + seconds * 1_000_000_000;
            bytes[place].copy_from_slice(moved.to_string().as_bytes());
        }
    }
    for name in TIMES {
        for start in found(bytes, name) {
            let place = start + name.len()..start + name.len() + SECONDS_LENGTH;
            let text = bytes.get(place.clone()).and_then(|text| std::str::from_utf8(text).ok());
            let time = text.and_then(|text| NaiveDateTime::parse_from_str(text, SECONDS).ok());
            if let Some(time) = time {
                let moved = (time + Duration::seconds(seconds)).format(SECONDS).to_string();
                bytes[place].copy_from_slice(moved.as_bytes());
            }
        }
    }
}

/// Where the time is in a subject that begins here: the eighth token, or the tenth after a domain and an account.
fn nanoseconds(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let length = bytes[start..].iter().position(u8::is_ascii_whitespace)?;
    let subject = &bytes[start..start + length];
    let dots: Vec<usize> = subject.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(dot, _)| dot).collect();
    let before = if dots.len() == 8 { 6 } else { 8 };
    let place = start + dots.get(before)? + 1..start + dots.get(before + 1)?;
    bytes[place.clone()].iter().all(u8::is_ascii_digit).then_some(place)
}

fn found(bytes: &[u8], pattern: &[u8]) -> Vec<usize> {
    bytes.windows(pattern.len()).enumerate().filter(|(_, window)| *window == pattern).map(|(start, _)| start).collect()
}

#[test]
fn a_clock_is_moved_wherever_a_broker_shows_it() {
    let mut clock = Clock::default();
    assert_eq!(clock.show(b"PING\r\n"), None);
    clock.set(60);
    let subject = "MSG a.b 7 $JS.ACK.ns_CMD.urgent.1.17.18.1759999990123456789.0 2\r\n{}\r\n";
    assert_eq!(clock.show(&subject.as_bytes()[..40]), Some(Vec::new()), "until the line is whole");
    let shown = String::from_utf8(clock.show(&subject.as_bytes()[40..]).unwrap()).unwrap();
    assert_eq!(shown, subject.replace("1759999990123456789", "1760000050123456789"));
    let before =
        "MSG x 1 9\r\n{\"ts\":\"2026-12-31T23:59:30.25Z\",\"message\":{\"time\":\"2026-01-01T00:00:00Z\"}}\r\n";
    let after = "MSG x 1 9\r\n{\"ts\":\"2027-01-01T00:00:30.25Z\",\"message\":{\"time\":\"2026-01-01T00:01:00Z\"}}\r\n";
    assert_eq!(clock.show(before.as_bytes()), Some(after.as_bytes().to_vec()));
}
