//! The body of a POST or PUT, split into attributes and a group's members while it is read. Members stay text until their
//! ids are read one after the other: fifty thousand as a tree take ten times the memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::id::ResourceId;
use crate::scim::attributes::Attributes;
use crate::scim::dialect::Dialect;
use crate::scim::error::ScimError;
use crate::scim::members::{MEMBERS, invalid_member, sent_id};
use crate::scim::resource_type::ResourceType;
use crate::scim::schema::ResourceSchema;
use crate::scim::value::invalid_value;

/// A body that was checked against its schema.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceBody {
    /// The attributes.
    pub attributes: Attributes,
    /// A group's members. Users have none.
    pub members: BTreeSet<ResourceId>,
}

/// A JSON object, not yet checked.
#[derive(Debug, Default)]
pub struct UnparsedBody {
    attributes: Map<String, Value>,
    /// The text of the members, by the attribute's name as it is spelled.
    members: BTreeMap<String, Box<RawValue>>,
}

impl UnparsedBody {
    /// Checks the body as [`Attributes::parse`] does, after `dialect` has brought it into the standard's form, and each
    /// of a group's members: 400 `invalidValue` unless it is an id. In a user's body `members` means nothing.
    pub fn parse(mut self, schema: impl Into<ResourceSchema>, dialect: Dialect) -> Result<ResourceBody, ScimError> {
        let schema = schema.into();
        let is_group = schema.resource_type() == ResourceType::Group;
        dialect.adjust(&mut self.attributes);
        let attributes = Attributes::parse(schema, Value::Object(self.attributes))?;
        let mut members = BTreeSet::new();
        for sent in self.members.values().filter(|_| is_group) {
            let sent = sent_ids(sent)?;
            if !members.is_empty() && !sent.is_empty() {
                return Err(invalid_value(MEMBERS, "is given twice, in different letter case"));
            }
            members.extend(sent);
        }
        Ok(ResourceBody { attributes, members })
    }
}

impl<'de> Deserialize<'de> for UnparsedBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BodyVisitor)
    }
}

struct BodyVisitor;

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = UnparsedBody;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<UnparsedBody, A::Error> {
        let mut body = UnparsedBody::default();
        while let Some(name) = object.next_key::<String>()? {
            if name.eq_ignore_ascii_case(MEMBERS) {
                body.members.insert(name, object.next_value()?);
            } else {
                body.attributes.insert(name, object.next_value()?);
            }
        }
        Ok(body)
    }
}

/// Each element is read, checked and dropped before the next one. What is no list is the one element.
fn sent_ids(sent: &RawValue) -> Result<BTreeSet<ResourceId>, ScimError> {
    let elements: Vec<&RawValue> = serde_json::from_str(sent.get()).unwrap_or_else(|_| vec![sent]);
    let read = |element: &RawValue| serde_json::from_str(element.get()).map_err(|_| invalid_member());
    elements.into_iter().filter_map(|element| read(element).and_then(sent_id).transpose()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "01900000-0000-7000-8000-000000000001";

    fn parse(resource_type: ResourceType, text: &str) -> Result<ResourceBody, String> {
        let body: UnparsedBody = serde_json::from_str(text).map_err(|error| error.to_string())?;
        body.parse(resource_type, Dialect::Standard).map_err(|error| error.detail)
    }

    #[test]
    fn members_are_told_from_attributes_in_any_form_and_letter_case() {
        for members in [
            json!([{ "value": ID }]),
            json!([{ "VALUE": ID, "type": "User", "$ref": "x" }, null, { "value": null }]),
            json!([ID, ID]),
            json!({ "value": ID, "display": "A" }),
            json!(ID),
        ] {
            let text = format!(r#"{{"displayName":"g","Members":{members}}}"#);
            let ResourceBody { attributes, members: ids } = parse(ResourceType::Group, &text).unwrap();
            assert_eq!(Value::Object(attributes.into_map()), json!({ "displayName": "g" }));
            assert_eq!(ids, BTreeSet::from([ID.parse().unwrap()]), "{text}");
            let user = parse(ResourceType::User, &format!(r#"{{"userName":"u","members":{members}}}"#)).unwrap();
            assert_eq!(user.members.len(), 0);
        }
        for nothing in ["null", "[]", "[null]"] {
            let text = format!(r#"{{"displayName":"g","members":{nothing},"Members":["{ID}"]}}"#);
            assert_eq!(parse(ResourceType::Group, &text).unwrap().members.len(), 1, "{text}");
        }
    }

    #[test]
    fn an_element_without_an_id_is_refused_and_means_nothing_to_a_user() {
        for (members, error) in [
            (r#"[{"display":"A"}]"#, "members.value must be the id of a user or group, a UUID"),
            ("[{}]", "members.value must be the id of a user or group, a UUID"),
            (r#"[{"value":null,"type":"User"}]"#, "members.value must be the id of a user or group, a UUID"),
            (r#""alice""#, "members.value must be the id of a user or group, a UUID"),
            (r#"[{"value":7}]"#, "members.value must be a string"),
            ("[[]]", "members must be an object"),
            ("true", "members must be an object"),
            ("-1.5", "members must be an object"),
        ] {
            let refused = parse(ResourceType::Group, &format!(r#"{{"displayName":"g","members":{members}}}"#));
            assert_eq!(refused, Err(error.to_owned()), "{members}");
            assert!(parse(ResourceType::User, &format!(r#"{{"userName":"u","members":{members}}}"#)).is_ok());
        }
        let twice = format!(r#"{{"displayName":"g","members":["{ID}"],"Members":["{ID}"]}}"#);
        let error = "members is given twice, in different letter case";
        assert_eq!(parse(ResourceType::Group, &twice), Err(error.to_owned()));
    }

    #[test]
    fn what_is_no_object_or_no_json_is_no_body() {
        for text in ["[]", "7", "\"x\"", "null", "{\"members\":[", "{} {}"] {
            assert!(parse(ResourceType::Group, text).is_err(), "{text}");
        }
    }
}
