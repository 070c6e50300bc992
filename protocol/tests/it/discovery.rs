//! What a server says of itself: RFC 7643 §5 to §7, RFC 7644 §4.

use expect_test::expect;
use protocol::scim::bulk::BulkLimits;
use protocol::scim::discovery::{list, resource_types, schemas, service_provider_config};
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::{AttributeJson, Extensions, SchemaJson};
use serde_json::{Value, json};

use crate::values::{ACME, acme};

const BASE_URL: &str = "https://x";

#[test]
fn resource_types_name_their_schemas_and_extensions() {
    let kinds = resource_types(&acme(), BASE_URL);
    expect![[r#"{"description":"User Account","endpoint":"/Users","id":"User","meta":{"location":"https://x/ResourceTypes/User","resourceType":"ResourceType"},"name":"User","schema":"urn:ietf:params:scim:schemas:core:2.0:User","schemaExtensions":[{"required":false,"schema":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"},{"required":false,"schema":"urn:acme:scim:schemas:2.0:User"}],"schemas":["urn:ietf:params:scim:schemas:core:2.0:ResourceType"]}"#]]
    .assert_eq(&kinds[0].to_string());
    expect![[r#"{"description":"Group","endpoint":"/Groups","id":"Group","meta":{"location":"https://x/ResourceTypes/Group","resourceType":"ResourceType"},"name":"Group","schema":"urn:ietf:params:scim:schemas:core:2.0:Group","schemaExtensions":[],"schemas":["urn:ietf:params:scim:schemas:core:2.0:ResourceType"]}"#]]
    .assert_eq(&kinds[1].to_string());
}

#[test]
fn every_schema_is_there_once_and_a_workspaces_own_with_them() {
    let ids = |extensions: &Extensions| -> Vec<Value> {
        schemas(extensions, BASE_URL).iter().map(|one| one["id"].clone()).collect()
    };
    let core = [
        "urn:ietf:params:scim:schemas:core:2.0:User",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
        "urn:ietf:params:scim:schemas:core:2.0:Group",
    ];
    assert_eq!(ids(&Extensions::default()), core);
    assert_eq!(ids(&acme()), [core[0], core[1], ACME, core[2]]);
}

#[test]
fn a_schema_reads_as_the_definitions_that_requests_are_checked_against() {
    for shown in schemas(&acme(), BASE_URL) {
        assert_eq!(shown["schemas"], serde_json::json!(["urn:ietf:params:scim:schemas:core:2.0:Schema"]));
        assert_eq!(shown["meta"]["location"], format!("{BASE_URL}/Schemas/{}", shown["id"].as_str().unwrap()));
        let read: SchemaJson = serde_json::from_value(shown.clone()).unwrap();
        let known = ResourceType::ALL.into_iter().flat_map(|kind| {
            let extensions = acme().of(kind).extensions().collect::<Vec<_>>();
            std::iter::once(kind.schema()).chain(extensions)
        });
        let known = known.into_iter().find(|schema| schema.id == read.id).unwrap();
        assert_eq!(read, SchemaJson::from(known));
    }
}

#[test]
fn every_characteristic_of_an_attribute_is_said() {
    let user = &schemas(&Extensions::default(), BASE_URL)[0];
    let attribute = |name: &str| {
        let all = user["attributes"].as_array().unwrap();
        let mut one = all.iter().find(|one| one["name"] == name).unwrap().clone();
        one["description"].take();
        one.to_string()
    };
    expect![[r#"{"caseExact":false,"description":null,"multiValued":false,"mutability":"readWrite","name":"userName","required":true,"returned":"default","type":"string","uniqueness":"server"}"#]]
    .assert_eq(&attribute("userName"));
    expect![[r#"{"caseExact":false,"description":null,"multiValued":false,"mutability":"readWrite","name":"profileUrl","referenceTypes":["external"],"required":false,"returned":"default","type":"reference","uniqueness":"none"}"#]]
    .assert_eq(&attribute("profileUrl"));
    let emails: AttributeJson = serde_json::from_str(&attribute("emails").replace("null", "\"\"")).unwrap();
    let parts: Vec<_> = emails.sub_attributes.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(parts, ["value", "display", "type", "primary"]);
    assert_eq!(emails.sub_attributes[2].canonical_values, ["work", "home", "other"]);
}

#[test]
fn the_configuration_says_what_this_build_can() {
    let config = service_provider_config(BASE_URL, BulkLimits { operations: 2_000, bytes: 8 * 1024 * 1024 });
    let supported = |name: &str| config[name]["supported"].as_bool().unwrap();
    assert!(["patch", "bulk", "filter", "sort", "etag"].into_iter().all(supported));
    assert!(!supported("changePassword"));
    let maximum = &config["filter"]["maxResults"];
    let paging = json!({ "cursor": true, "index": true, "defaultPaginationMethod": "index", "defaultPageSize": maximum, "maxPageSize": maximum });
    assert_eq!(config["pagination"], paging);
    assert_eq!(config["authenticationSchemes"][0]["type"], "oauthbearertoken");
    assert_eq!(config["meta"]["location"], "https://x/ServiceProviderConfig");
}

#[test]
fn a_list_is_complete() {
    let kinds = resource_types(&Extensions::default(), BASE_URL);
    let listed = list(&kinds);
    assert_eq!(
        (&listed["totalResults"], &listed["itemsPerPage"], &listed["startIndex"]),
        (&2.into(), &2.into(), &1.into())
    );
    assert_eq!(listed["Resources"].as_array(), Some(&kinds));
    assert_eq!(list(&[])["Resources"], serde_json::json!([]));
}
