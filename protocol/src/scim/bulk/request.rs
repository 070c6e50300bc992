//! Reads a bulk request while it arrives: one operation after the other, so that one too many is refused before the rest
//! has come, and none is in memory as a tree.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read};

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{BULK_REQUEST_SCHEMA, BulkLimits, BulkOperation};
use crate::scim::error::{ScimError, ScimType};

/// A bulk request (RFC 7644 §3.7).
#[derive(Debug)]
pub struct BulkRequest {
    /// After so many errors nothing more is begun (`failOnErrors`); none for no end.
    pub fail_on_errors: Option<usize>,
    /// The operations, in the order of the request.
    pub operations: Vec<BulkOperation>,
}

impl BulkRequest {
    /// Reads a request from its bytes, as they come.
    ///
    /// 413 names the limit on operations; 400 says what is wrong with the request as a whole, and then nothing of it is
    /// done. What is wrong with one operation is that operation's own error.
    pub fn read(bytes: impl Read, limits: BulkLimits) -> Result<Self, ScimError> {
        let refusal = RefCell::new(None);
        let mut json = serde_json::Deserializer::from_reader(UntilRefused { bytes, refusal: &refusal });
        let read = Reader { most: limits.operations, refusal: &refusal }.deserialize(&mut json);
        let read = read.and_then(|read| json.end().map(|()| read));
        let read =
            read.map_err(|error| refusal.borrow_mut().take().unwrap_or_else(|| ScimError::invalid_json(&error)))?;
        read.request()
    }
}

fn syntax(detail: impl Into<String>) -> ScimError {
    ScimError::bad_request(ScimType::InvalidSyntax, detail)
}

/// The bytes up to a refusal: the parser looks for the end of a list also after an error, and would wait for it.
struct UntilRefused<'a, R> {
    bytes: R,
    refusal: &'a RefCell<Option<ScimError>>,
}

impl<R: Read> Read for UntilRefused<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.refusal.borrow().is_some() { Ok(0) } else { self.bytes.read(buffer) }
    }
}

/// The members of the request, as they were found.
#[derive(Default)]
struct Members {
    schemas: Value,
    fail_on_errors: Value,
    operations: Option<Vec<BulkOperation>>,
}

impl Members {
    fn request(self) -> Result<BulkRequest, ScimError> {
        let schemas = self.schemas.as_array().into_iter().flatten().filter_map(Value::as_str);
        if !schemas.into_iter().any(|schema| schema.eq_ignore_ascii_case(BULK_REQUEST_SCHEMA)) {
            return Err(syntax(format!("schemas must contain {BULK_REQUEST_SCHEMA}")));
        }
        let fail_on_errors = match self.fail_on_errors {
            Value::Null => None,
            // None accepted is as good as one: something has to go wrong before anything can stop.
            Value::Number(number) if number.is_u64() => {
                Some(number.as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or(usize::MAX).max(1))
            }
            _ => {
                let detail = "failOnErrors must be an integer, 1 or more";
                return Err(ScimError::bad_request(ScimType::InvalidValue, detail));
            }
        };
        let operations = self.operations.ok_or_else(|| syntax("Operations is missing"))?;
        Ok(BulkRequest { fail_on_errors, operations })
    }
}

/// Reads the whole request. What it refuses for a reason of its own is left in `refusal`.
struct Reader<'a> {
    most: usize,
    refusal: &'a RefCell<Option<ScimError>>,
}

impl Reader<'_> {
    fn refuse<E: serde::de::Error>(&self, error: ScimError) -> E {
        *self.refusal.borrow_mut() = Some(error);
        E::custom("refused")
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Members;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Members, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Members;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Members::default();
        // Names of attributes are the same in any letter case (RFC 7643 §2.1).
        while let Some(name) = map.next_key::<String>()? {
            match name.to_ascii_lowercase().as_str() {
                "schemas" => members.schemas = map.next_value()?,
                "failonerrors" => members.fail_on_errors = map.next_value()?,
                "operations" if members.operations.is_some() => {
                    return Err(self.refuse(syntax("Operations is given twice")));
                }
                "operations" => members.operations = Some(map.next_value_seed(Operations(&self))?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(members)
    }
}

/// Reads the list of operations, no more than are allowed.
struct Operations<'a>(&'a Reader<'a>);

impl<'de> DeserializeSeed<'de> for Operations<'_> {
    type Value = Vec<BulkOperation>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Operations<'_> {
    type Value = Vec<BulkOperation>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of operations")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut operations = Vec::new();
        while let Some(value) = seq.next_element::<Value>()? {
            let most = self.0.most;
            if operations.len() == most {
                let detail =
                    format!("a bulk request may have at most {most} operations here (maxOperations); split it");
                return Err(self.0.refuse(ScimError::new(413, detail)));
            }
            let Value::Object(members) = value else {
                return Err(A::Error::custom("an operation must be an object"));
            };
            operations.push(BulkOperation::read(members));
        }
        Ok(operations)
    }
}
