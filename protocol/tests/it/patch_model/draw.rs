//! Operations drawn from a list of numbers, so that a smaller list is a simpler case.

use std::collections::BTreeMap;

use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::{AttributeDefinition, Kind, Mutability, ResourceSchema, Schema};
use serde_json::{Map, Value, json};

use super::model::{Operation, Spot, Target, Verb};

/// Numbers to decide by; when they are used up, every decision is the first one.
pub(super) struct Draw(std::vec::IntoIter<u16>);

impl Draw {
    pub(super) fn new(choices: Vec<u16>) -> Self {
        Self(choices.into_iter())
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.0.next().unwrap_or(0)) % limit
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub(super) fn operation(&mut self) -> Operation {
        let verb = self.one(&[Verb::Add, Verb::Replace, Verb::Remove]);
        match self.below(8) {
            0 => {
                let set: BTreeMap<String, (Spot, Value)> = (0..self.below(4)).map(|_| self.named()).collect();
                Operation { verb, target: Target::Set(set), value: None }
            }
            1 => {
                let extension = extension();
                let spots = (0..self.below(3)).map(|_| {
                    let attribute = &extension.attributes[self.below(extension.attributes.len())];
                    let spot = Spot { extension: true, attribute, filter: None, sub: None };
                    (attribute.name.to_owned(), (spot.clone(), self.value(&spot)))
                });
                Operation { verb, target: Target::Extension(spots.collect()), value: None }
            }
            _ => {
                let spot = self.spot();
                let value = match verb {
                    Verb::Remove if self.below(4) > 0 => None,
                    _ => Some(self.value(&spot)),
                };
                Operation { verb, target: Target::Spot(spot), value }
            }
        }
    }

    fn named(&mut self) -> (String, (Spot, Value)) {
        let spot = self.spot();
        let value = self.value(&spot);
        (spot.to_string(), (spot, value))
    }

    fn spot(&mut self) -> Spot {
        let extension = self.below(5) == 0;
        let schema = if extension { self::extension() } else { ResourceType::User.schema() };
        // Most attributes are simple, and few operations on one of many would meet: so lists and objects come often.
        let several = |pick: fn(&&AttributeDefinition) -> bool| schema.attributes.iter().filter(pick).take(3).collect();
        let lists: Vec<&AttributeDefinition> = several(|attribute| attribute.multi_valued);
        let objects: Vec<&AttributeDefinition> =
            several(|attribute| attribute.kind == Kind::Complex && !attribute.multi_valued);
        let attribute = match self.below(4) {
            0 => &schema.attributes[self.below(schema.attributes.len())],
            1 => self.one(&objects),
            _ if lists.is_empty() => self.one(&objects),
            _ => self.one(&lists),
        };
        let subs = attribute.sub_attributes;
        let sub = |draw: &mut Self| Some(&subs[draw.below(subs.len())]);
        let filter = (attribute.multi_valued && self.below(2) == 0).then(|| self.filter(subs));
        let sub = if subs.is_empty() || self.below(2) == 0 { None } else { sub(self) };
        Spot { extension, attribute, filter, sub }
    }

    fn filter(&mut self, subs: &'static [AttributeDefinition]) -> (&'static AttributeDefinition, Value) {
        let sub = match self.below(3) {
            0 => &subs[self.below(subs.len())],
            _ => subs.iter().find(|sub| sub.name == "type").unwrap(),
        };
        (sub, self.simple(sub))
    }

    fn value(&mut self, spot: &Spot) -> Value {
        if self.below(12) == 0 {
            return if spot.filter.is_some() || spot.sub.is_some() { Value::Null } else { self.nothing() };
        }
        match (spot.sub, spot.attribute) {
            (Some(sub), _) => self.simple(sub),
            (None, attribute) if attribute.multi_valued && spot.filter.is_none() => {
                (0..=self.below(3)).map(|_| self.complex(attribute)).collect()
            }
            (None, attribute) if attribute.kind == Kind::Complex => self.complex(attribute),
            (None, attribute) => self.simple(attribute),
        }
    }

    fn nothing(&mut self) -> Value {
        [json!(null), json!([]), json!([null])][self.below(3)].clone()
    }

    /// At least one part has a value; others may be null.
    fn complex(&mut self, attribute: &AttributeDefinition) -> Value {
        let writable = |sub: &&AttributeDefinition| sub.mutability != Mutability::ReadOnly;
        let first = attribute.sub_attributes.iter().find(writable).unwrap_or(&attribute.sub_attributes[0]);
        let mut members = Map::from_iter([(first.name.to_owned(), self.simple(first))]);
        for sub in attribute.sub_attributes {
            match self.below(6) {
                0 | 1 => drop(members.insert(sub.name.to_owned(), self.simple(sub))),
                2 if sub.name != first.name => drop(members.insert(sub.name.to_owned(), Value::Null)),
                _ => {}
            }
        }
        Value::Object(members)
    }

    fn simple(&mut self, definition: &AttributeDefinition) -> Value {
        match (definition.kind, definition.name) {
            (Kind::Boolean, _) => json!(self.below(2) == 0),
            (Kind::Binary, _) => json!(["YQ==", "YWI="][self.below(2)]),
            (_, "type") => json!(["work", "home", "Work", "other"][self.below(4)]),
            _ => json!(["a", "b", "c", ""][self.below(4)]),
        }
    }
}

fn extension() -> &'static Schema {
    ResourceSchema::from(ResourceType::User).extension(super::ENTERPRISE).unwrap()
}
