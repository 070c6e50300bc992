//! Resources and lists as clients see them.

use expect_test::expect;
use protocol::scim::members::{Member, Members};
use protocol::scim::projection::Projection;
use protocol::scim::render::{ListResponse, Place};
use protocol::scim::resource_type::ResourceType;

use crate::values::{id, resource};

const BASE_URL: &str = "https://scim.example.com/scim/v2/acme";

#[test]
fn a_user_has_its_schemas_and_metadata() {
    let user = resource(
        ResourceType::User,
        id(1),
        r#"{"userName":"alice","active":true,"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"R"}}"#,
    );
    expect![[r#"
        {
          "schemas": [
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
          ],
          "id": "01900000-0000-7000-8000-000000000001",
          "active": true,
          "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
            "department": "R"
          },
          "userName": "alice",
          "meta": {
            "resourceType": "User",
            "created": "2023-11-14T22:13:20.000Z",
            "lastModified": "2023-11-14T22:13:20.000Z",
            "location": "https://scim.example.com/scim/v2/acme/Users/01900000-0000-7000-8000-000000000001",
            "version": "W/\"1\""
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&user.render(BASE_URL, &Projection::default())).unwrap());
    assert_eq!(user.location(BASE_URL), format!("{BASE_URL}/Users/{}", id(1)));
}

#[test]
fn members_are_referenced_by_their_kind() {
    let mut group = resource(ResourceType::Group, id(1), r#"{"displayName":"g"}"#);
    let member = |id, resource_type| Member { id, resource_type, display: None };
    group.members = Members::Read(vec![member(id(2), ResourceType::User), member(id(3), ResourceType::Group)]);
    expect![[r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"id":"01900000-0000-7000-8000-000000000001","displayName":"g","members":[{"type":"User","value":"01900000-0000-7000-8000-000000000002","$ref":"https://scim.example.com/scim/v2/acme/Users/01900000-0000-7000-8000-000000000002"},{"type":"Group","value":"01900000-0000-7000-8000-000000000003","$ref":"https://scim.example.com/scim/v2/acme/Groups/01900000-0000-7000-8000-000000000003"}],"meta":{"resourceType":"Group","created":"2023-11-14T22:13:20.000Z","lastModified":"2023-11-14T22:13:20.000Z","location":"https://scim.example.com/scim/v2/acme/Groups/01900000-0000-7000-8000-000000000001","version":"W/\"1\""}}"#]].assert_eq(&serde_json::to_string(&group.render(BASE_URL, &Projection::default())).unwrap());
}

#[test]
fn a_list_counts_in_numbers_and_always_has_resources() {
    let place = Place::Index(3);
    let projection = &Projection::default();
    let list = ListResponse { total: 3, place, resources: &[], base_url: BASE_URL, projection };
    expect![[r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":3,"itemsPerPage":0,"startIndex":3,"Resources":[]}"#]].assert_eq(&serde_json::to_string(&list).unwrap());
    let group = resource(ResourceType::Group, id(1), r#"{"displayName":"g"}"#);
    let list = ListResponse { total: 3, place, resources: &[group], base_url: BASE_URL, projection };
    let list = serde_json::to_value(list).unwrap();
    assert_eq!((&list["itemsPerPage"], &list["Resources"][0]["displayName"]), (&1.into(), &"g".into()));
}

#[test]
fn a_page_of_a_walk_says_where_it_goes_on_and_the_last_one_does_not() {
    let projection = &Projection::default();
    let shown = |next| {
        let place = Place::Walk { next };
        let list = ListResponse { total: 3, place, resources: &[], base_url: BASE_URL, projection };
        serde_json::to_string(&list).unwrap()
    };
    expect![[r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":3,"itemsPerPage":0,"nextCursor":"AQ","Resources":[]}"#]].assert_eq(&shown(Some("AQ")));
    expect![[r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":3,"itemsPerPage":0,"Resources":[]}"#]].assert_eq(&shown(None));
}
