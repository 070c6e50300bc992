//! The standard's own examples.

use protocol::scim::attributes::Attributes;
use protocol::scim::resource_type::ResourceType;
use serde_json::json;

use crate::values::{json, patch, stored};

/// RFC 7643 §8.3, what the server alone sets (`id`, `meta`, `groups`, `manager.displayName`) and the password aside.
const FULL_USER: &str = r#"{
  "externalId": "701984",
  "userName": "bjensen@example.com",
  "name": {"formatted": "Ms. Barbara J Jensen, III", "familyName": "Jensen", "givenName": "Barbara",
           "middleName": "Jane", "honorificPrefix": "Ms.", "honorificSuffix": "III"},
  "displayName": "Babs Jensen",
  "nickName": "Babs",
  "profileUrl": "https://login.example.com/bjensen",
  "emails": [{"value": "bjensen@example.com", "type": "work", "primary": true},
             {"value": "babs@jensen.org", "type": "home"}],
  "addresses": [{"streetAddress": "100 Universal City Plaza", "locality": "Hollywood", "region": "CA",
                 "postalCode": "91608", "country": "USA", "formatted": "100 Universal City Plaza\nHollywood, CA 91608 USA",
                 "type": "work", "primary": true}],
  "phoneNumbers": [{"value": "555-555-5555", "type": "work"}, {"value": "555-555-4444", "type": "mobile"}],
  "ims": [{"value": "someaimhandle", "type": "aim"}],
  "photos": [{"value": "https://photos.example.com/profilephoto/72930000000Ccne/F", "type": "photo"}],
  "userType": "Employee",
  "title": "Tour Guide",
  "preferredLanguage": "en-US",
  "locale": "en-US",
  "timezone": "America/Los_Angeles",
  "active": true,
  "x509Certificates": [{"value": "MIIDQzCCAqygAwIBAgICEAAwDQYJKoZIhvcNAQEFBQAwTjELMAkGA1UEBhMCVVMx"}],
  "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
    "employeeNumber": "701984", "costCenter": "4130", "organization": "Universal Studios",
    "division": "Theme Park", "department": "Tour Operations",
    "manager": {"value": "26118915-6090-4610-87e4-49d8ca9f808d", "$ref": "../Users/26118915-6090-4610-87e4-49d8ca9f808d"}
  }
}"#;

#[test]
fn a_full_user_is_kept_whole() {
    let mut body = json(FULL_USER);
    body["id"] = json!("2819c223-7f76-453a-919d-413861904646");
    body["password"] = json!("t1meMa$heen");
    body["groups"] = json!([{ "value": "e9e30dba-f08f-4109-8486-d5c6a331660a", "display": "Tour Guides" }]);
    body["meta"] = json!({ "resourceType": "User" });
    body["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"]["manager"]["displayName"] = json!("John Smith");
    assert_eq!(Attributes::parse(ResourceType::User, body).unwrap(), stored(FULL_USER));
}

#[test]
fn patches_of_rfc_7644_do_what_they_say() {
    let user = stored(FULL_USER);
    let apply = |operations: &str| patch(ResourceType::User, operations).unwrap().apply(&user).unwrap();
    // §3.5.2.1
    let added =
        apply(r#"[{"op":"add","value":{"emails":[{"value":"babs@jensen.org","type":"home"}],"nickname":"Babs"}}]"#);
    assert_eq!(added, user);
    // §3.5.2.3
    let address = r#"{"type":"work","streetAddress":"911 Universal City Plaza","locality":"Hollywood","region":"CA",
        "postalCode":"91608","country":"US","formatted":"911 Universal City Plaza\nHollywood, CA 91608 US","primary":true}"#;
    let moved = apply(&format!(r#"[{{"op":"replace","path":"addresses[type eq \"work\"]","value":{address}}}]"#));
    assert_eq!(moved.as_map()["addresses"], json!([json(address)]));
    let street = r#"[{"op":"replace","path":"addresses[type eq \"work\"].streetAddress","value":"1010 Broadway Ave"}]"#;
    assert_eq!(apply(street).as_map()["addresses"][0]["streetAddress"], "1010 Broadway Ave");
    let emails = r#"[{"op":"replace","value":{"emails":[{"value":"bjensen@example.com","type":"work","primary":true}],"nickname":"B"}}]"#;
    assert_eq!(apply(emails).as_map()["emails"].as_array().map(Vec::len), Some(1));
    // §3.5.2.2
    let removed = apply(r#"[{"op":"remove","path":"emails[type eq \"work\" and value ew \"example.com\"]"}]"#);
    assert_eq!(removed.as_map()["emails"], json!([{ "value": "babs@jensen.org", "type": "home" }]));
}

#[test]
fn a_failing_patch_changes_nothing() {
    let user = stored(FULL_USER);
    let operations = r#"[{"op":"replace","path":"title","value":"CEO"},
        {"op":"replace","path":"emails[value eq \"nobody@example.com\"].display","value":"N"}]"#;
    assert!(patch(ResourceType::User, operations).unwrap().apply(&user).is_err());
    assert_eq!(user, stored(FULL_USER));
}
