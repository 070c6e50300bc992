//! An answer against what the provider needs of it.

use serde_json::{Value, json};

use super::fixture::Expectation;
use crate::harness::scim::Answer;

const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

impl Expectation {
    /// What is not as the provider needs it, each in a sentence; `known` fills in what earlier steps kept.
    pub(crate) fn faults(&self, answer: &Answer, known: &impl Fn(&str) -> String) -> Vec<String> {
        let status = self.status.iter().filter(|statuses| !statuses.take(answer.status));
        let mut faults: Vec<String> =
            status.map(|wanted| format!("status {} instead of {wanted:?}", answer.status)).collect();
        faults.extend(form_fault(answer));
        for (pointer, wanted) in &self.equal {
            let (found, wanted) = (answer.body.pointer(pointer), filled(wanted, known));
            if found != Some(&wanted) {
                faults.push(format!("{pointer} is {} instead of {wanted}", found.unwrap_or(&Value::Null)));
            }
        }
        let is_there = |pointer: &&String| answer.body.pointer(pointer).is_some_and(|value| !value.is_null());
        faults.extend(self.exist.iter().filter(|pointer| !is_there(pointer)).map(|pointer| format!("no {pointer}")));
        faults.extend(self.absent.iter().filter(is_there).map(|pointer| format!("there is {pointer}")));
        for (pointer, wanted) in &self.values {
            let mut wanted: Vec<String> = wanted.iter().map(|text| known(text)).collect();
            wanted.sort_unstable();
            let found = values(answer.body.pointer(pointer));
            if found != wanted {
                faults.push(format!("{pointer} holds {found:?} instead of {wanted:?}"));
            }
        }
        faults
    }
}

/// What every provider needs: a body of a type that it reads, also with an error (RFC 7644 §3.8, §3.12).
fn form_fault(answer: &Answer) -> Option<String> {
    if answer.status == 204 {
        return None;
    }
    if !answer.header("content-type").starts_with("application/scim+json")
        && !answer.header("content-type").starts_with("application/json")
    {
        return Some(format!("the media type is '{}'", answer.header("content-type")));
    }
    let is_error = answer.body["schemas"] == json!([ERROR])
        && answer.body["status"].as_str() == Some(answer.status.to_string().as_str());
    (answer.status >= 400 && !is_error).then(|| "the error is not a SCIM error".to_owned())
}

/// A JSON value with what is known put in its texts.
pub(super) fn filled(value: &Value, known: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(known(text)),
        Value::Array(values) => values.iter().map(|value| filled(value, known)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), filled(value, known))).collect::<Value>()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn values(list: Option<&Value>) -> Vec<String> {
    let elements = list.and_then(Value::as_array).into_iter().flatten();
    let mut values: Vec<String> =
        elements.map(|element| element["value"].as_str().unwrap_or_default().to_owned()).collect();
    values.sort_unstable();
    values
}
