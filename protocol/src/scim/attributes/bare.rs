//! A group's members in a small form: a member of whom nothing but the id is given is held as that id alone. Fifty
//! thousand objects of one entry take ten times the memory. Written, it is the object `{"value": id}` again.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::Attributes;

const MEMBERS: &str = "members";

/// Reads the JSON of a request's body; in an object, the members are held in their small form. Elsewhere than in a
/// group's body the name means nothing: no other schema has `members`.
pub fn read_body(bytes: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice(bytes).map(|Body(body)| body)
}

/// The small form of a checked member: its id, if it has one.
pub(super) fn of(member: Value) -> Value {
    match member {
        Value::Object(mut parts) => match parts.remove("value") {
            Some(id @ Value::String(_)) => id,
            Some(other) => Value::Object(Map::from_iter([("value".to_owned(), other)])),
            None => Value::Object(parts),
        },
        other => other,
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_map(Reader::OfBody)? {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(serde::de::Error::custom("attributes are an object")),
        }
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            match value {
                Value::Array(members) if name == MEMBERS => object.serialize_entry(name, &Written(members))?,
                value => object.serialize_entry(name, value)?,
            }
        }
        object.end()
    }
}

/// Members as they are written.
struct Written<'a>(&'a [Value]);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(WrittenMember))
    }
}

struct WrittenMember<'a>(&'a Value);

impl Serialize for WrittenMember<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(id) => serializer.collect_map([("value", id)]),
            member => member.serialize(serializer),
        }
    }
}

/// The JSON of a body.
struct Body(Value);

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader::OfBody).map(Self)
    }
}

/// A member, or a list of them, in the small form.
struct Small(Value);

impl<'de> Deserialize<'de> for Small {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader::OfMembers).map(Self)
    }
}

/// Reads any JSON.
#[derive(Clone, Copy)]
enum Reader {
    /// What has members among its fields.
    OfBody,
    /// The members.
    OfMembers,
}

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Value, A::Error> {
        match self {
            Self::OfBody => fields(object).map(Value::Object),
            Self::OfMembers => member(object),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        match self {
            Self::OfBody => {
                while let Some(element) = list.next_element::<Value>()? {
                    elements.push(element);
                }
            }
            Self::OfMembers => {
                while let Some(Small(element)) = list.next_element()? {
                    elements.push(element);
                }
            }
        }
        Ok(Value::Array(elements))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

fn fields<'de, A: MapAccess<'de>>(mut object: A) -> Result<Map<String, Value>, A::Error> {
    let mut fields = Map::new();
    while let Some(name) = object.next_key::<String>()? {
        let value =
            if name.eq_ignore_ascii_case(MEMBERS) { object.next_value::<Small>()?.0 } else { object.next_value()? };
        fields.insert(name, value);
    }
    Ok(fields)
}

/// What has more than its id stays as it is, so that the check sees all of it.
fn member<'de, A: MapAccess<'de>>(mut object: A) -> Result<Value, A::Error> {
    let mut parts = Map::new();
    while let Some((name, value)) = object.next_entry::<String, Value>()? {
        parts.insert(name, value);
    }
    match (parts.len(), parts.get_mut("value")) {
        (1, Some(id @ Value::String(_))) => Ok(id.take()),
        _ => Ok(Value::Object(parts)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_member_of_whom_only_the_id_is_known_is_small_and_written_whole() {
        let text = r#"{"displayName":"g","members":[{"value":"1"},{"type":"User","value":"2"},{"value":"3"}]}"#;
        let read: Attributes = serde_json::from_str(text).unwrap();
        assert_eq!(read.as_map()["members"], json!(["1", { "type": "User", "value": "2" }, "3"]));
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        let again: Attributes = serde_json::from_value(serde_json::to_value(&read).unwrap()).unwrap();
        assert_eq!(again, read);
    }

    #[test]
    fn a_body_is_read_as_it_is_but_for_the_members() {
        let body =
            json!({ "a": [1, -2, 3.5, null, true, "x", { "value": "1" }], "b": { "members": [{ "value": "1" }] } });
        assert_eq!(read_body(body.to_string().as_bytes()).unwrap(), body);
        for other in [json!([{ "value": "1" }]), json!("x"), json!(1.5), json!(null), json!({ "value": "1" })] {
            assert_eq!(read_body(other.to_string().as_bytes()).unwrap(), other);
        }
        for (sent, read) in [
            (r#"{"Members":[{"value":"1"}]}"#, json!({ "Members": ["1"] })),
            (r#"{"members":{"value":"1"}}"#, json!({ "members": "1" })),
            (
                r#"{"members":[{"VALUE":"1"},{"value":7},{},null,"2"]}"#,
                json!({ "members": [{"VALUE":"1"},{"value":7},{},null,"2"] }),
            ),
            (r#"{"members":[{"value":"1","$ref":"x"}]}"#, json!({ "members": [{"value":"1","$ref":"x"}] })),
        ] {
            assert_eq!(read_body(sent.as_bytes()).unwrap(), read, "{sent}");
        }
        assert!(read_body(b"{\"members\":[").is_err() && read_body(b"{} {}").is_err());
    }
}
