//! The core User (RFC 7643 §4.1, §8.7.1).

use super::{AttributeDefinition as Attribute, Mutability, Returned, Schema, Uniqueness};

pub(super) const SCHEMA: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:core:2.0:User",
    name: "User",
    description: "User Account",
    attributes: ATTRIBUTES,
};

const ATTRIBUTES: &[Attribute] = &[
    Attribute::string("userName").required().uniqueness(Uniqueness::Server).about("The name by which the person signs in; unique within the workspace, in any letter case"),
    Attribute::complex("name", NAME).about("The parts of the person's name"),
    Attribute::string("displayName").about("The name that is shown, suitable for display"),
    Attribute::string("nickName").about("How the person likes to be called"),
    Attribute::reference("profileUrl", &["external"]).about("The URL of the person's profile"),
    Attribute::string("title").about("The person's title, such as Vice President"),
    Attribute::string("userType").about("The relationship between the organization and the person, such as Employee"),
    Attribute::string("preferredLanguage").about("The preferred written or spoken language, as in Accept-Language"),
    Attribute::string("locale").about("The default location for localizing currency, dates and numbers, such as en-US"),
    Attribute::string("timezone").about("The time zone, such as America/Los_Angeles; the identity provider's value is the default until the person changes it"),
    // Required beyond §8.7.1: it is never left open whether the user has access.
    Attribute::boolean("active").required().defaulted().about("Whether the person has access"),
    Attribute::string("password").mutability(Mutability::WriteOnly).returned(Returned::Never).about("Accepted and never kept"),
    Attribute::complex("emails", EMAILS).multi_valued().about("E-mail addresses"),
    Attribute::complex("phoneNumbers", PHONE_NUMBERS).multi_valued().about("Phone numbers"),
    Attribute::complex("ims", IMS).multi_valued().about("Instant messaging addresses"),
    Attribute::complex("photos", PHOTOS).multi_valued().about("URLs of pictures of the person"),
    Attribute::complex("addresses", ADDRESSES).multi_valued().about("Postal addresses"),
    Attribute::complex("groups", GROUPS).multi_valued().mutability(Mutability::ReadOnly).about("The groups to which the person belongs directly; changed through the groups"),
    Attribute::complex("entitlements", VALUES).multi_valued().about("What the person is entitled to"),
    Attribute::complex("roles", VALUES).multi_valued().about("The person's roles"),
    Attribute::complex("x509Certificates", CERTIFICATES).multi_valued().about("The person's certificates, DER in base64"),
];

const NAME: &[Attribute] = &[
    Attribute::string("formatted").about("The whole name, formatted for display"),
    Attribute::string("familyName").about("The family name"),
    Attribute::string("givenName").about("The given name"),
    Attribute::string("middleName").about("The middle names"),
    Attribute::string("honorificPrefix").about("The title before the name, such as Ms."),
    Attribute::string("honorificSuffix").about("What follows the name, such as III"),
];

const EMAILS: &[Attribute] = &[
    Attribute::string("value").about("The value itself"),
    Attribute::string("display").about("A name for display"),
    Attribute::string("type").canonical(&["work", "home", "other"]).about("What it is for"),
    Attribute::boolean("primary").about("Whether it is the preferred value; true at most once"),
];

const PHONE_NUMBERS: &[Attribute] = &[
    Attribute::string("value").about("The value itself"),
    Attribute::string("display").about("A name for display"),
    Attribute::string("type").canonical(&["work", "home", "mobile", "fax", "pager", "other"]).about("What it is for"),
    Attribute::boolean("primary").about("Whether it is the preferred value; true at most once"),
];

const IMS: &[Attribute] = &[
    Attribute::string("value").about("The value itself"),
    Attribute::string("display").about("A name for display"),
    Attribute::string("type")
        .canonical(&["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"])
        .about("What it is for"),
    Attribute::boolean("primary").about("Whether it is the preferred value; true at most once"),
];

const PHOTOS: &[Attribute] = &[
    Attribute::reference("value", &["external"]).about("The value itself"),
    Attribute::string("display").about("A name for display"),
    Attribute::string("type").canonical(&["photo", "thumbnail"]).about("What it is for"),
    Attribute::boolean("primary").about("Whether it is the preferred value; true at most once"),
];

const ADDRESSES: &[Attribute] = &[
    Attribute::string("formatted").about("The whole address, formatted for display"),
    Attribute::string("streetAddress").about("Street, house number, apartment"),
    Attribute::string("locality").about("The city or locality"),
    Attribute::string("region").about("The state or region"),
    Attribute::string("postalCode").about("The postal code"),
    Attribute::string("country").about("The country, an ISO 3166-1 alpha-2 code"),
    Attribute::string("type").canonical(&["work", "home", "other"]).about("What it is for"),
    // Missing in §8.7.1 but part of every multi-valued attribute (§2.4), and in the standard's own example (§8.2).
    Attribute::boolean("primary").about("Whether it is the preferred value; true at most once"),
];

const GROUPS: &[Attribute] = &[
    Attribute::string("value").mutability(Mutability::ReadOnly).about("The group's id"),
    Attribute::reference("$ref", &["User", "Group"]).mutability(Mutability::ReadOnly).about("The group's URI"),
    Attribute::string("display").mutability(Mutability::ReadOnly).about("The group's name"),
    Attribute::string("type")
        .canonical(&["direct", "indirect"])
        .mutability(Mutability::ReadOnly)
        .about("How the person belongs to it"),
];

const VALUES: &[Attribute] = &[
    Attribute::string("value").about("The value itself"),
    Attribute::string("display").about("A name for display"),
    Attribute::string("type").about("What it is for"),
    Attribute::boolean("primary").about("Whether it is the preferred value; true at most once"),
];

const CERTIFICATES: &[Attribute] = &[
    Attribute::binary("value").about("The value itself"),
    Attribute::string("display").about("A name for display"),
    Attribute::string("type").about("What it is for"),
    Attribute::boolean("primary").about("Whether it is the preferred value; true at most once"),
];
