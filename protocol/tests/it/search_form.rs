//! The form in which attributes are searched and sorted by.

use expect_test::{Expect, expect};
use protocol::scim::attributes::Attributes;
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::ResourceSchema;
use serde_json::Value;

use crate::values::{ACME, acme, stored};

fn check(attributes: &str, expected: &Expect) {
    let schema = acme().of(ResourceType::User);
    expected.assert_eq(&Value::Object(stored(attributes).search_form(&schema)).to_string().replace(ACME, "ACME"));
}

#[test]
fn text_is_in_the_form_in_which_it_is_compared() {
    check(
        r#"{"userName":"BJensen","externalId":"Ext","name":{"familyName":"STRASSE","givenName":"Zoe\u0308"},"active":true}"#,
        &expect![[
            r#"{"active":true,"externalId":"Ext","name":{"familyName":"strasse","givenName":"zoë"},"userName":"bjensen"}"#
        ]],
    );
    check(r#"{"displayName":"Straße"}"#, &expect![[r#"{"displayName":"strasse"}"#]]);
}

#[test]
fn every_value_of_a_list_is_and_bytes_stay_as_they_are() {
    check(
        r#"{"emails":[{"type":"Work","value":"A@X","primary":true},{"value":"B"}],"x509Certificates":[{"value":"MIIa","display":"Key"}]}"#,
        &expect![[
            r#"{"emails":[{"primary":true,"type":"work","value":"a@x"},{"value":"b"}],"x509Certificates":[{"display":"key","value":"MIIa"}]}"#
        ]],
    );
}

#[test]
fn an_extension_follows_its_own_schema() {
    check(
        &format!(
            r#"{{"{ACME}":{{"badge":"A7","team":"Blue","hiredAt":"2024-02-29T08:00:00.5+01:00","floor":3,"note":"N",
            "desks":[{{"value":"North","floor":1,"keyCode":"Xy"}}]}},
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{{"department":"R&D","manager":{{"value":"Boss"}}}}}}"#
        ),
        &expect![[
            r#"{"ACME":{"badge":"A7","desks":[{"floor":1,"keyCode":"Xy","value":"north"}],"floor":3,"hiredAt":1709190000500,"note":"n","team":"blue"},"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"r&d","manager":{"value":"boss"}}}"#
        ]],
    );
}

#[test]
fn what_no_schema_knows_cannot_be_searched() {
    check(
        &format!(r#"{{"userName":"a","shoeSize":42,"{ACME}":{{"shoe":"L"}},"urn:x:y":{{"a":1}}}}"#),
        &expect![[r#"{"ACME":{},"userName":"a"}"#]],
    );
    let known = Attributes::default();
    assert!(known.search_form(&ResourceSchema::from(ResourceType::Group)).is_empty());
    // An extension that the workspace does not have is unknown, too.
    let form = stored(&format!(r#"{{"{ACME}":{{"badge":"A"}}}}"#)).search_form(&ResourceType::User.into());
    assert!(form.is_empty());
}
