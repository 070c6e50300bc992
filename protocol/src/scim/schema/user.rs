//! The core User (RFC 7643 §4.1, §8.7.1).

use super::{AttributeDefinition as Attribute, Mutability, Returned, Schema, Uniqueness};

pub(super) const SCHEMA: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:core:2.0:User",
    name: "User",
    description: "User Account",
    attributes: ATTRIBUTES,
};

const ATTRIBUTES: &[Attribute] = &[
    Attribute::string("userName").required().uniqueness(Uniqueness::Server),
    Attribute::complex("name", NAME),
    Attribute::string("displayName"),
    Attribute::string("nickName"),
    Attribute::reference("profileUrl", &["external"]),
    Attribute::string("title"),
    Attribute::string("userType"),
    Attribute::string("preferredLanguage"),
    Attribute::string("locale"),
    Attribute::string("timezone"),
    Attribute::boolean("active"),
    Attribute::string("password").mutability(Mutability::WriteOnly).returned(Returned::Never),
    Attribute::complex("emails", EMAILS).multi_valued(),
    Attribute::complex("phoneNumbers", PHONE_NUMBERS).multi_valued(),
    Attribute::complex("ims", IMS).multi_valued(),
    Attribute::complex("photos", PHOTOS).multi_valued(),
    Attribute::complex("addresses", ADDRESSES).multi_valued(),
    Attribute::complex("groups", GROUPS).multi_valued().mutability(Mutability::ReadOnly),
    Attribute::complex("entitlements", VALUES).multi_valued(),
    Attribute::complex("roles", VALUES).multi_valued(),
    Attribute::complex("x509Certificates", CERTIFICATES).multi_valued(),
];

const NAME: &[Attribute] = &[
    Attribute::string("formatted"),
    Attribute::string("familyName"),
    Attribute::string("givenName"),
    Attribute::string("middleName"),
    Attribute::string("honorificPrefix"),
    Attribute::string("honorificSuffix"),
];

const EMAILS: &[Attribute] = &[
    Attribute::string("value"),
    Attribute::string("display"),
    Attribute::string("type").canonical(&["work", "home", "other"]),
    Attribute::boolean("primary"),
];

const PHONE_NUMBERS: &[Attribute] = &[
    Attribute::string("value"),
    Attribute::string("display"),
    Attribute::string("type").canonical(&["work", "home", "mobile", "fax", "pager", "other"]),
    Attribute::boolean("primary"),
];

const IMS: &[Attribute] = &[
    Attribute::string("value"),
    Attribute::string("display"),
    Attribute::string("type").canonical(&["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"]),
    Attribute::boolean("primary"),
];

const PHOTOS: &[Attribute] = &[
    Attribute::reference("value", &["external"]),
    Attribute::string("display"),
    Attribute::string("type").canonical(&["photo", "thumbnail"]),
    Attribute::boolean("primary"),
];

const ADDRESSES: &[Attribute] = &[
    Attribute::string("formatted"),
    Attribute::string("streetAddress"),
    Attribute::string("locality"),
    Attribute::string("region"),
    Attribute::string("postalCode"),
    Attribute::string("country"),
    Attribute::string("type").canonical(&["work", "home", "other"]),
    // Missing in §8.7.1 but part of every multi-valued attribute (§2.4), and in the standard's own example (§8.2).
    Attribute::boolean("primary"),
];

const GROUPS: &[Attribute] = &[
    Attribute::string("value").mutability(Mutability::ReadOnly),
    Attribute::reference("$ref", &["User", "Group"]).mutability(Mutability::ReadOnly),
    Attribute::string("display").mutability(Mutability::ReadOnly),
    Attribute::string("type").canonical(&["direct", "indirect"]).mutability(Mutability::ReadOnly),
];

const VALUES: &[Attribute] = &[
    Attribute::string("value"),
    Attribute::string("display"),
    Attribute::string("type"),
    Attribute::boolean("primary"),
];

const CERTIFICATES: &[Attribute] = &[
    Attribute::binary("value"),
    Attribute::string("display"),
    Attribute::string("type"),
    Attribute::boolean("primary"),
];
