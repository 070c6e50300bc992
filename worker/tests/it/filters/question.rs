//! Filters made up at random from the schema tables.

use protocol::scim::filter::Filter;
use protocol::scim::path::AttributePath;
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::{AttributeDefinition, COMMON, Kind, ResourceSchema};
use serde_json::Value;

use super::Known;
use super::dice::Dice;
use super::population::{BASE_URL, TEXTS, extensions, simple};

/// A filter, as text and as it is understood.
pub(super) fn of(dice: &mut Dice, kind: ResourceType, known: &[Known]) -> (String, Filter) {
    let mut question = Question { dice, schema: extensions().of(kind), known };
    let text = question.filter(3);
    let filter = Filter::parse(question.schema, &text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (text, filter)
}

/// Every attribute and sub-attribute that has an order.
pub(super) fn sortable(kind: ResourceType) -> Vec<AttributePath> {
    let schema = extensions().of(kind);
    let mut paths = Vec::new();
    for (urn, definition) in definitions(&schema) {
        let path = AttributePath::parse(schema.clone(), &format!("{urn}{}", definition.name)).unwrap();
        let subs = definition.sub_attributes.iter().filter_map(|sub| path.sub(sub.name));
        paths.extend(subs.chain(path.compared().map(|_| path.clone())));
    }
    paths
}

/// Every attribute of the kind, with the URN that its path begins with.
fn definitions(schema: &ResourceSchema) -> Vec<(String, &'static AttributeDefinition)> {
    let core = schema.resource_type().schema().attributes.iter().chain(COMMON).map(|one| (String::new(), one));
    let extended = schema
        .extensions()
        .flat_map(|extension| extension.attributes.iter().map(move |one| (format!("{}:", extension.id), one)));
    core.chain(extended).collect()
}

struct Question<'a> {
    dice: &'a mut Dice,
    schema: ResourceSchema,
    known: &'a [Known],
}

impl Question<'_> {
    fn filter(&mut self, depth: usize) -> String {
        match self.dice.below(if depth == 0 { 5 } else { 9 }) {
            0..=4 => self.term(),
            5 => format!("not ({})", self.filter(depth - 1)),
            6 => format!("({} and {})", self.filter(depth - 1), self.filter(depth - 1)),
            _ => format!("({} or {})", self.filter(depth - 1), self.filter(depth - 1)),
        }
    }

    fn term(&mut self) -> String {
        let (urn, definition) = self.dice.pick(&definitions(&self.schema)).clone();
        let name = format!("{urn}{}", definition.name);
        if definition.kind != Kind::Complex {
            return self.comparison(&name, definition);
        }
        let sub = self.dice.pick(definition.sub_attributes);
        match self.dice.below(5) {
            0 => format!("{name} pr"),
            1 => format!("{name}[{}]", self.with_timeout(definition, 1)),
            2 if definition.sub_attribute("value").is_some() => {
                self.comparison(&name, definition.sub_attribute("value").unwrap())
            }
            3 => {
                let inner = self.with_timeout(definition, 1);
                self.comparison(&format!("{name}[{inner}].{}", sub.name), sub)
            }
            _ => self.comparison(&format!("{name}.{}", sub.name), sub),
        }
    }

    fn with_timeout(&mut self, definition: &AttributeDefinition, depth: usize) -> String {
        let sub = self.dice.pick(definition.sub_attributes);
        match self.dice.below(if depth == 0 { 3 } else { 6 }) {
            0..=2 => self.comparison(sub.name, sub),
            3 => format!("not ({})", self.with_timeout(definition, depth - 1)),
            4 => format!(
                "({} and {})",
                self.with_timeout(definition, depth - 1),
                self.with_timeout(definition, depth - 1)
            ),
            _ => format!(
                "({} or {})",
                self.with_timeout(definition, depth - 1),
                self.with_timeout(definition, depth - 1)
            ),
        }
    }

    fn comparison(&mut self, path: &str, definition: &AttributeDefinition) -> String {
        if self.dice.one_in(8) {
            return format!("{path} {}", self.dice.pick(&["pr", "eq null", "ne null"]));
        }
        let operators: &[&str] = match definition.kind {
            Kind::Boolean => &["eq", "ne"],
            Kind::Binary => &["eq", "ne", "co", "sw", "ew"],
            Kind::Integer | Kind::Decimal | Kind::DateTime => &["eq", "ne", "gt", "ge", "lt", "le"],
            Kind::String | Kind::Reference | Kind::Complex => {
                &["eq", "eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"]
            }
        };
        let operator = *self.dice.pick(operators);
        let value = self.value(path, definition);
        let value = if definition.kind == Kind::DateTime { value } else { self.part_of(value, operator) };
        format!("{path} {operator} {value}")
    }

    /// Something that is there, or anything.
    fn value(&mut self, path: &str, definition: &AttributeDefinition) -> Value {
        let known = self.dice.pick(self.known);
        let attribute = path.split(['.', '[']).next().unwrap_or_default();
        let from_it = match (path, definition.name) {
            ("id", _) => Some(known.rendered["id"].clone()),
            (_, "location" | "created" | "lastModified" | "version") => {
                Some(known.rendered["meta"][definition.name].clone())
            }
            (_, "schemas") => Some(known.rendered["schemas"][0].clone()),
            (_, "type") if self.dice.one_in(2) => Some((*self.dice.pick(&["User", "group", "direct", "work"])).into()),
            (_, "value" | "$ref" | "display") => {
                let first = known.rendered.get(attribute).and_then(|values| values.get(0));
                first.and_then(|value| value.get(definition.name)).cloned()
            }
            _ => None,
        };
        if definition.name == "$ref" && self.dice.one_in(3) {
            return format!("{BASE_URL}/Users").into();
        }
        from_it.filter(|_| !self.dice.one_in(5)).unwrap_or_else(|| simple(self.dice, definition.kind))
    }

    /// For `co`, `sw` and `ew` a part of the text, now and then in other letter case.
    fn part_of(&mut self, value: Value, operator: &str) -> Value {
        let Value::String(text) = value else { return value };
        let characters: Vec<char> = text.chars().collect();
        let some = self.dice.below(characters.len() + 1);
        let part: String = match operator {
            "sw" | "co" => characters[..some].iter().collect(),
            "ew" => characters[some..].iter().collect(),
            _ => text,
        };
        let part = match self.dice.below(6) {
            0 => part.to_uppercase(),
            1 => part.to_lowercase(),
            2 if operator != "eq" => (*self.dice.pick(&TEXTS)).to_owned(),
            _ => part,
        };
        part.into()
    }
}
