//! Where a value lies: in a column, in the search form, or in rows of memberships.

use protocol::scim::path::AttributePath;
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::{AttributeDefinition, Kind};

use super::Scope;
use super::rows::{Rows, member_rows, table, user_group_rows};
use crate::store::DatabaseKind;

/// What paths start from.
#[derive(Debug, Clone)]
pub(super) enum Subject {
    /// A row of `users` or `groups`.
    Resource(ResourceType),
    /// A row's `meta`.
    Meta(ResourceType),
    /// A value of a complex attribute: an object of JSON.
    Object(String),
    /// A member row, joined to what it names; of the given kind.
    Member(ResourceType),
    /// A member row of a user, joined to the group.
    UserGroup,
}

/// One value, or none.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The expression: NULL where there is no value.
    pub(super) sql: String,
    /// What it yields.
    pub(super) form: Form,
}

/// What a place's expression yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A value out of JSON, as text on PostgreSQL, of its own type on SQLite.
    Json,
    /// Text in search form.
    Text,
    /// The same, in a column that is never NULL: plain comparisons, so that an index serves them.
    Name,
    /// An id.
    Id,
    /// A whole number, never NULL.
    Integer,
    /// A boolean column, never NULL.
    Boolean,
}

impl Place {
    fn new(sql: impl Into<String>, form: Form) -> Self {
        Self { sql: sql.into(), form }
    }
}

impl Scope<'_> {
    /// The values at a path, each with the rows that it is in.
    pub(super) fn values(self, subject: &Subject, path: &AttributePath) -> Vec<(Rows, Place)> {
        let attribute = path.parent();
        match (subject, path.sub_attribute()) {
            (Subject::Resource(kind), sub) => self.of_resource(*kind, &attribute, sub),
            // Within brackets, every path is a sub-attribute of what is before them.
            (subject, Some(sub)) => vec![self.parts(subject, sub)],
            (_, None) => Vec::new(),
        }
    }

    /// The values of a complex attribute, as subjects of what is in its brackets.
    pub(super) fn elements(self, subject: &Subject, attribute: &AttributePath) -> Vec<(Rows, Subject)> {
        let Subject::Resource(kind) = subject else { return Vec::new() };
        match (kind, attribute.attribute().name, attribute.extension()) {
            (kind, "meta", None) => vec![(Rows::None, Subject::Meta(*kind))],
            (ResourceType::Group, "members", None) => {
                ResourceType::ALL.map(|kind| (member_rows(kind), Subject::Member(kind))).into()
            }
            (ResourceType::User, "groups", None) => vec![(user_group_rows(), Subject::UserGroup)],
            _ => {
                let json = self.attribute(*kind, attribute);
                if attribute.attribute().multi_valued {
                    vec![(Rows::elements(self.kind, &json, "e"), Subject::Object("e.value".to_owned()))]
                } else {
                    vec![(Rows::Present(json.clone()), Subject::Object(json))]
                }
            }
        }
    }

    fn of_resource(
        self,
        kind: ResourceType,
        attribute: &AttributePath,
        sub: Option<&'static AttributeDefinition>,
    ) -> Vec<(Rows, Place)> {
        let definition = attribute.attribute();
        if sub.is_none()
            && let Some((column, form)) = promoted(kind, attribute)
        {
            return vec![(Rows::None, Place::new(format!("{}.\"{column}\"", table(kind)), form))];
        }
        if definition.name == "schemas" && attribute.extension().is_none() {
            return self.schemas(kind);
        }
        if definition.kind == Kind::Complex {
            // What a comparison without a sub-attribute looks at is `value` (RFC 7644 §3.4.2.2).
            let Some(sub) = sub.or_else(|| definition.sub_attribute("value")) else { return Vec::new() };
            let elements = self.elements(&Subject::Resource(kind), attribute).into_iter();
            let parts = elements.map(|(rows, element)| {
                let (inner, place) = self.parts(&element, sub);
                (rows.around(inner), place)
            });
            return parts.collect();
        }
        if definition.multi_valued {
            let rows = Rows::elements(self.kind, &self.attribute(kind, attribute), "e");
            return vec![(rows, self.element_value("e"))];
        }
        let container = self.container(kind, attribute);
        vec![(Rows::None, Place::new(self.member_text(&container, definition.name), Form::Json))]
    }

    /// The values of a part of one value of a complex attribute.
    fn parts(self, subject: &Subject, sub: &AttributeDefinition) -> (Rows, Place) {
        match subject {
            Subject::Object(json) if sub.multi_valued => {
                (Rows::elements(self.kind, &self.member(json, sub.name), "s"), self.element_value("s"))
            }
            subject => (Rows::None, self.part(subject, sub)),
        }
    }

    /// A part of one value of a complex attribute, the first if there are several.
    pub(super) fn part(self, subject: &Subject, sub: &AttributeDefinition) -> Place {
        match subject {
            Subject::Object(json) if sub.multi_valued => {
                Place::new(format!("({} ->> 0)", self.member(json, sub.name)), Form::Json)
            }
            Subject::Object(json) => Place::new(self.member_text(json, sub.name), Form::Json),
            Subject::Meta(kind) => self.of_meta(*kind, sub.name),
            Subject::Member(kind) => self.of_member(*kind, sub.name),
            Subject::UserGroup => self.of_user_group(sub.name),
            Subject::Resource(_) => Place::new("NULL", Form::Text),
        }
    }

    fn of_meta(self, kind: ResourceType, name: &str) -> Place {
        let table = table(kind);
        match name {
            "created" => Place::new(format!("{table}.\"created_at\""), Form::Integer),
            "lastModified" => Place::new(format!("{table}.\"modified_at\""), Form::Integer),
            "version" => Place::new(format!("'W/\"' || {table}.\"version\" || '\"'"), Form::Text),
            "resourceType" => Place::new(quoted(kind.name()), Form::Text),
            "location" => Place::new(self.location(kind, &format!("{table}.\"id\""), true), Form::Text),
            _ => Place::new("NULL", Form::Text),
        }
    }

    fn of_member(self, kind: ResourceType, name: &str) -> Place {
        match (kind, name) {
            (_, "value") => Place::new("m.\"member_id\"", Form::Id),
            (_, "type") => Place::new(quoted(&kind.name().to_ascii_lowercase()), Form::Text),
            (_, "$ref") => Place::new(self.location(kind, "m.\"member_id\"", false), Form::Text),
            (ResourceType::User, "display") => {
                Place::new("COALESCE(j.\"display_name_key\", j.\"user_name_key\")", Form::Text)
            }
            (ResourceType::Group, "display") => Place::new("j.\"display_name_key\"", Form::Text),
            _ => Place::new("NULL", Form::Text),
        }
    }

    fn of_user_group(self, name: &str) -> Place {
        match name {
            "value" => Place::new("m.\"group_id\"", Form::Id),
            "display" => Place::new("j.\"display_name_key\"", Form::Text),
            "type" => Place::new("'direct'", Form::Text),
            "$ref" => Place::new(self.location(ResourceType::Group, "m.\"group_id\"", false), Form::Text),
            _ => Place::new("NULL", Form::Text),
        }
    }

    /// The URNs in use: the kind's own, and each extension that the row has.
    fn schemas(self, kind: ResourceType) -> Vec<(Rows, Place)> {
        let own = (Rows::None, Place::new(quoted(kind.schema().id), Form::Text));
        let search = format!("{}.\"search\"", table(kind));
        let keys = Rows::keys(self.kind, &search);
        vec![own, (keys, Place::new("e.key", Form::Text))]
    }

    /// `<base url>/<endpoint>/<id>`; in search form unless `exact`.
    fn location(self, kind: ResourceType, id: &str, exact: bool) -> String {
        let prefix = format!("{}/{}/", self.base_url, kind.endpoint());
        let prefix = if exact { prefix } else { protocol::scim::name::CanonicalName::of(&prefix).as_str().to_owned() };
        format!("{} || {}", quoted(&prefix), self.id_text(id))
    }

    /// The object that holds an attribute: the search form, or an extension in it.
    fn container(self, kind: ResourceType, attribute: &AttributePath) -> String {
        let search = format!("{}.\"search\"", table(kind));
        attribute.extension().map_or_else(|| search.clone(), |schema| self.member(&search, schema.id))
    }

    pub(super) fn attribute(self, kind: ResourceType, attribute: &AttributePath) -> String {
        self.member(&self.container(kind, attribute), attribute.attribute().name)
    }

    /// A member of an object, as JSON.
    fn member(self, object: &str, name: &str) -> String {
        format!("({object} -> {})", self.step(name))
    }

    /// A member of an object, as a value.
    fn member_text(self, object: &str, name: &str) -> String {
        format!("({object} ->> {})", self.step(name))
    }

    fn step(self, name: &str) -> String {
        match self.kind {
            DatabaseKind::Postgres => quoted(name),
            DatabaseKind::Sqlite => quoted(&format!("$.\"{name}\"")),
        }
    }

    /// A simple element of a list, as a value.
    fn element_value(self, alias: &str) -> Place {
        let sql = match self.kind {
            DatabaseKind::Postgres => format!("({alias}.value #>> '{{}}')"),
            DatabaseKind::Sqlite => format!("{alias}.value"),
        };
        Place::new(sql, Form::Json)
    }

    /// An id as clients see it.
    pub(super) fn id_text(self, column: &str) -> String {
        match self.kind {
            DatabaseKind::Postgres => format!("({column})::text"),
            DatabaseKind::Sqlite => {
                let hex = |from, length| format!("substr(lower(hex({column})), {from}, {length})");
                [hex(1, 8), hex(9, 4), hex(13, 4), hex(17, 4), hex(21, 12)].join(" || '-' || ")
            }
        }
    }
}

/// The column that holds an attribute of its own, and what it yields.
pub(super) fn promoted(kind: ResourceType, attribute: &AttributePath) -> Option<(&'static str, Form)> {
    if attribute.extension().is_some() || attribute.sub_attribute().is_some() {
        return None;
    }
    match (kind, attribute.attribute().name) {
        (_, "id") => Some(("id", Form::Id)),
        (_, "externalId") => Some(("external_id", Form::Text)),
        (ResourceType::User, "userName") => Some(("user_name_key", Form::Name)),
        (ResourceType::User, "displayName") => Some(("display_name_key", Form::Text)),
        (ResourceType::User, "active") => Some(("active", Form::Boolean)),
        (ResourceType::Group, "displayName") => Some(("display_name_key", Form::Name)),
        _ => None,
    }
}

/// A literal. Only for names out of schemas, endpoints and configuration, never for what a client sends.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
