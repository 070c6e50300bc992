//! A request of any method, at any path, with any header fields.

use std::fmt;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::{body, filter};

/// What the requests can name that is there, at first.
pub(super) struct Known {
    pub(super) token: String,
    pub(super) users: Vec<String>,
    pub(super) groups: Vec<String>,
}

/// One request.
pub(super) struct Shot {
    pub(super) method: &'static str,
    target: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Option<Vec<u8>>,
    chunked: bool,
}

/// Those that there are come most often, and deletions seldom: what is gone can only be missed.
const METHODS: [&str; 13] =
    ["GET", "GET", "GET", "POST", "POST", "POST", "PUT", "PUT", "PATCH", "PATCH", "PATCH", "PATCH", "DELETE"];
const ODD_METHODS: [&str; 7] = ["HEAD", "OPTIONS", "TRACE", "PROPFIND", "BREW", "get", "M-SEARCH"];

const PREFIXES: [&str; 9] = [
    "/scim/v1/acme",
    "/scim/v3/acme",
    "/scim/v2/nobody",
    "/scim/v2/ACME",
    "/scim/v2/ac%6de",
    "/SCIM/v2/acme",
    "/scim/v2",
    "/scim//v2//acme",
    "",
];

const COLLECTIONS: [&str; 7] =
    ["/Users", "/Users", "/Groups", "/Users/.search", "/Groups/.search", "/.search", "/Bulk"];
const RESOURCES: [&str; 2] = ["/Users/{id}", "/Groups/{id}"];
const OTHERS: [&str; 12] = [
    "",
    "/",
    "/Me",
    "/ServiceProviderConfig",
    "/ResourceTypes",
    "/ResourceTypes/User",
    "/ResourceTypes/{id}",
    "/Schemas",
    "/Schemas/urn:ietf:params:scim:schemas:core:2.0:User",
    "/Schemas/{id}",
    "/Nothing",
    "/users/{id}",
];

const ODD_PARTS: [&str; 18] = [
    "/",
    "//",
    "/..",
    "/%2e%2e/Users",
    "%00",
    "%ff",
    "%2F",
    "%zz",
    "%",
    "%ED%A0%80",
    "%C3%A9",
    ";v=1",
    "/.",
    "%20",
    "{}",
    "'",
    "\"",
    "|",
];

impl Shot {
    /// Whether it asks for what answers 501.
    pub(super) fn is_me(&self) -> bool {
        self.target.split('?').next().unwrap_or_default().split('/').any(|part| part == "Me")
    }

    /// The request as it is written.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes =
            format!("{} {} HTTP/1.1\r\nHost: rosterd\r\nConnection: close\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        match &self.body {
            None => bytes.extend_from_slice(b"\r\n"),
            Some(body) if self.chunked => {
                bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                for chunk in body.chunks(4_096) {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
            Some(body) => {
                bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                bytes.extend_from_slice(body);
            }
        }
        bytes
    }
}

/// The request's beginning, to read: of no token is more shown than its form.
impl fmt::Display for Shot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.method, self.target)?;
        for (name, value) in self.headers.iter().filter(|(name, _)| *name != "Authorization") {
            writeln!(f, "{name}: {}", String::from_utf8_lossy(value))?;
        }
        let body = self.body.as_deref().unwrap_or_default();
        write!(f, "{} bytes: {}", body.len(), String::from_utf8_lossy(&body[..body.len().min(700)]))
    }
}

/// One request at random.
pub(super) fn shot(known: &Known, random: &mut StdRng) -> Shot {
    let method = if random.random_bool(0.92) { pick(&METHODS, random) } else { pick(&ODD_METHODS, random) };
    let path = path(method, random);
    let target = target(path, known, random);
    let carries = matches!(method, "POST" | "PUT" | "PATCH") || random.random_bool(0.1);
    let body = carries.then(|| body::body(method, path, known, random));
    Shot { method, target, headers: headers(known, random), body, chunked: random.random_bool(0.2) }
}

/// Mostly one that takes the method.
fn path(method: &str, random: &mut StdRng) -> &'static str {
    match (method, random.random_range(0..10)) {
        ("POST", 1..=8) => pick(&COLLECTIONS, random),
        ("PUT" | "PATCH" | "DELETE", 1..=8) | ("GET", 1..=3) => pick(&RESOURCES, random),
        ("GET", 4..=7) => pick(&COLLECTIONS[..3], random),
        _ => pick(&OTHERS, random),
    }
}

fn target(path: &str, known: &Known, random: &mut StdRng) -> String {
    let prefix = if random.random_bool(0.95) { "/scim/v2/acme" } else { pick(&PREFIXES, random) };
    let mut target = format!("{prefix}{}", path.replace("{id}", &id(path, known, random)));
    while random.random_bool(0.05) {
        let place = random.random_range(0..=target.len());
        target.insert_str(place, pick(&ODD_PARTS, random));
    }
    if !target.starts_with('/') {
        target.insert(0, '/');
    }
    if random.random_bool(0.01) {
        target.push_str(&"/a".repeat(5_000));
    }
    if random.random_bool(0.5) { format!("{target}?{}", query(random)) } else { target }
}

/// Mostly an id of the kind that the path is about.
pub(super) fn id(path: &str, known: &Known, random: &mut StdRng) -> String {
    let of_users = path.to_ascii_lowercase().starts_with("/users");
    let (own, other) = if of_users { (&known.users, &known.groups) } else { (&known.groups, &known.users) };
    let own = own.choose(random).cloned().unwrap_or_default();
    match random.random_range(0..24) {
        0 => other.choose(random).cloned().unwrap_or_default(),
        1 => own.to_uppercase(),
        2 => own.replace('-', ""),
        3 => "01900000-0000-7000-8000-000000000001".to_owned(),
        4 => pick(&["not-an-id", "0", "-1", "%7B%7D", "null", "undefined", "bulkId:1"], random).to_owned(),
        _ => own,
    }
}

fn query(random: &mut StdRng) -> String {
    let count = random.random_range(1..4);
    let parameters: Vec<String> = (0..count).map(|_| parameter(random)).collect();
    parameters.join("&")
}

fn parameter(random: &mut StdRng) -> String {
    let (name, value) = match random.random_range(0..9) {
        0..=2 => ("filter", filter::filter(random)),
        3 => (pick(&["count", "startIndex", "cursor"], random), filter::number(random)),
        4 => ("sortBy", filter::attribute(random)),
        5 => ("sortOrder", pick(&["ascending", "descending", "DESCENDING", "sideways", ""], random).to_owned()),
        6 => ("attributes", format!("{},{}", filter::attribute(random), filter::attribute(random))),
        7 => ("excludedAttributes", filter::attribute(random)),
        _ => (pick(&["", "nonsense", "Filter", "access_token", "a[]"], random), filter::literal(random)),
    };
    if random.random_bool(0.1) {
        return format!("{name}={}", pick(&["%zz", "%ff", "%", "%00", "a=b=c", "%ED%A0%80", "+", "&&", "="], random));
    }
    let value: String = value.bytes().map(escaped).collect();
    format!("{name}={value}")
}

fn escaped(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

fn headers(known: &Known, random: &mut StdRng) -> Vec<(&'static str, Vec<u8>)> {
    let mut headers = Vec::new();
    let bearer = format!("Bearer {}", known.token).into_bytes();
    let odd: [&[u8]; 6] = [b"Bearer", b"Bearer \xff\xfe", b"Basic YTpi", b"bearer x y", b"", b"Bearer rst_x_y"];
    match random.random_range(0..60) {
        0 => headers.push(("Authorization", pick(&odd, random).to_vec())),
        1 => headers.extend([("Authorization", bearer.clone()), ("Authorization", bearer)]),
        2 => {}
        _ => headers.push(("Authorization", bearer)),
    }
    let types: [&[u8]; 8] = [
        b"application/json",
        b"application/json; charset=utf-8",
        b"text/xml",
        b"application/scim+json; charset=latin1",
        b"",
        b"/",
        b"\xe9",
        b"application/x-www-form-urlencoded",
    ];
    match random.random_range(0..20) {
        0 => {}
        1 => headers.push(("Content-Type", pick(&types, random).to_vec())),
        2 => headers.push(("Content-Type", types[0].to_vec())),
        _ => headers.push(("Content-Type", b"application/scim+json".to_vec())),
    }
    while random.random_bool(0.2) {
        headers.push(odd_header(random));
    }
    if random.random_bool(0.005) {
        headers.extend((0..70).map(|_| ("X-Many", b"1".to_vec())));
    }
    headers
}

fn odd_header(random: &mut StdRng) -> (&'static str, Vec<u8>) {
    let tags: [&[u8]; 8] =
        [b"*", b"W/\"1\"", b"\"1\"", b"W/\"0\"", b"W/\"99999999999999999999\"", b"\xff", b"", b"W/\"1\", , W/\""];
    let name = pick(&["If-Match", "If-None-Match", "Prefer", "Accept", "Content-Encoding", "X-Long", "Range"], random);
    let value = match name {
        "If-Match" | "If-None-Match" => pick(&tags, random).to_vec(),
        "Prefer" => {
            pick(&[&b"respond-async"[..], b"respond-async, wait=1", b"wait=-1", b"return=minimal", b"\xff"], random)
                .to_vec()
        }
        "Accept" => {
            pick(&[&b"*/*"[..], b"application/json", b"text/html", b"", b"\xff", b"application/scim+json;q=0"], random)
                .to_vec()
        }
        "Content-Encoding" => pick(&[&b"gzip"[..], b"identity", b"", b"br, gzip"], random).to_vec(),
        "X-Long" => vec![b'x'; random.random_range(1..20_000)],
        _ => b"bytes=0-1".to_vec(),
    };
    (name, value)
}

pub(super) fn pick<T: Copy>(from: &[T], random: &mut StdRng) -> T {
    *from.choose(random).unwrap()
}
