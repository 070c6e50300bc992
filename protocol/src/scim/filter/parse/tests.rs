//! The parser beside that of `scim_v2`: what the standard's grammar takes has the meaning that it has there.

use proptest::prelude::*;
use scim_v2::filter as grammar;

use super::*;

/// What `scim_v2` reads in a filter.
fn oracle(filter: &grammar::Filter) -> Expression<'_> {
    match filter {
        grammar::Filter::Attr(comparison) => compared(comparison),
        grammar::Filter::ValuePath(value_path) => Expression::ValuePath {
            path: unresolved(&value_path.attr),
            filter: Box::new(oracle_of_value(&value_path.filter)),
        },
        grammar::Filter::Not(filter) => Expression::Not(Box::new(oracle(filter))),
        grammar::Filter::And(filters) => Expression::And(filters.iter().map(oracle).collect()),
        grammar::Filter::Or(filters) => Expression::Or(filters.iter().map(oracle).collect()),
    }
}

fn oracle_of_value(filter: &grammar::ValFilter) -> Expression<'_> {
    match filter {
        grammar::ValFilter::Attr(comparison) => compared(comparison),
        grammar::ValFilter::Not(filter) => Expression::Not(Box::new(oracle_of_value(filter))),
        grammar::ValFilter::And(filters) => Expression::And(filters.iter().map(oracle_of_value).collect()),
        grammar::ValFilter::Or(filters) => Expression::Or(filters.iter().map(oracle_of_value).collect()),
    }
}

fn compared(comparison: &grammar::AttrExp) -> Expression<'_> {
    let (path, op, value) = match comparison {
        grammar::AttrExp::Present(path) => return Expression::Present(unresolved(path)),
        grammar::AttrExp::Comparison(path, op, value) => (path, op, value),
    };
    let value = match value {
        grammar::CompValue::False => Value::Bool(false),
        grammar::CompValue::Null => Value::Null,
        grammar::CompValue::True => Value::Bool(true),
        grammar::CompValue::Number(number) => Value::Number(number.clone()),
        grammar::CompValue::Str(text) => Value::from(text.as_str()),
    };
    Expression::Compare { path: unresolved(path), op: CompareOp::of_word(&op.to_string()).unwrap(), value }
}

fn unresolved(path: &grammar::AttrPath) -> UnresolvedPath<'_> {
    UnresolvedPath { urn: path.uri.as_deref(), name: &path.name, sub_attribute: path.sub_attr.as_deref() }
}

/// The text means what the grammar reads in `expected`.
#[track_caller]
fn check(text: &str, expected: &str) {
    let filter: grammar::Filter = expected.parse().unwrap();
    assert_eq!(parse_filter(text), Ok(oracle(&filter)), "{text}");
    assert_eq!(parse_filter(expected), Ok(oracle(&filter)), "{expected}");
}

#[test]
fn a_comparison_after_the_brackets_goes_into_them() {
    let path = r#"emails[type eq "work"].value"#;
    check(&format!(r#"{path} eq "x""#), r#"emails[(type eq "work") and value eq "x"]"#);
    check(&format!("{path} PR"), r#"emails[(type eq "work") and value pr]"#);
    check(&format!(r#"{path} ne "x""#), r#"not (emails[(type eq "work") and value eq "x"])"#);
    check(&format!("{path} ne Null"), r#"emails[(type eq "work") and value pr]"#);
    check(&format!("{path} eq null"), r#"not (emails[(type eq "work") and value pr])"#);
    check(
        r#"(title pr and emails[type eq "a]" or primary eq True].value co "x") or active eq False"#,
        r#"(title pr and emails[(type eq "a]" or primary eq true) and value co "x"]) or active eq false"#,
    );
}

#[test]
fn values_without_quotes_get_them() {
    check("externalId eq jyoung", r#"externalId eq "jyoung""#);
    check("(externalId eq 8ecc2d1f-8b5f)", r#"(externalId eq "8ecc2d1f-8b5f")"#);
    check("meta.created gt 2011-05-13T04:42:34Z", r#"meta.created gt "2011-05-13T04:42:34Z""#);
    check("count ge -1.5e3 and active eq TRUE", "count ge -1.5e3 and active eq true");
    check("externalId eq 1e999 or externalId eq 007", r#"externalId eq "1e999" or externalId eq "007""#);
}

#[test]
fn spacing_and_letter_case_do_not_matter() {
    check(
        "NOT(userName\tEQ  \"a  b\")AND(title PR)OR(\nx Sw \"\")",
        "not (userName eq \"a  b\") and (title pr) or (x sw \"\")",
    );
    check(r#"emails [ type eq "work" ]"#, r#"emails[type eq "work"]"#);
}

#[test]
fn references_have_a_name_that_the_grammar_lacks() {
    assert!("members.$ref pr".parse::<grammar::Filter>().is_err());
    let reference = UnresolvedPath { urn: None, name: "members", sub_attribute: Some("$ref") };
    let ends = Expression::Compare { path: reference, op: CompareOp::Ew, value: Value::from("/7") };
    assert_eq!(parse_filter(r#"members.$ref ew "/7""#), Ok(ends));
    let inner = parse_filter(r#"$REF pr and $ref eq "$ref""#).map(Box::new).unwrap();
    let selected = Expression::ValuePath { path: UnresolvedPath::of_name("members"), filter: inner };
    assert_eq!(parse_filter(r#"members[$REF pr].$ref eq "$ref""#), Ok(selected));
    let manager = UnresolvedPath { urn: Some("urn:a:b:2.0:User"), name: "manager", sub_attribute: Some("$ref") };
    let path = PathExpression { path: manager, filter: None, sub_attribute: None };
    assert_eq!(parse_path("urn:a:b:2.0:User:manager.$ref"), Ok(path));
    assert_eq!(parse_path("emails[type EQ work ].value"), parse_path(r#"emails[type eq "work"].value"#));
}

#[test]
fn what_makes_no_sense_is_refused() {
    for text in [
        "",
        "userName",
        "userName is \"x\"",
        "userName EQ",
        "userName EQ 'x'",
        "userName EQ {}",
        "userName EQ a b",
        "userName EQ \"x",
        "emails[type EQ \"x\"",
        "emails[a[b PR]].c EQ 1",
        "emails[type PR) or (primary EQ true].value EQ 1",
        "title PR and",
        "not title PR",
    ] {
        assert!(parse_filter(text).is_err(), "{text}");
    }
    for text in ["", "emails[", "emails[type EQ \"x\"]value", "a b"] {
        assert!(parse_path(text).is_err(), "{text}");
    }
}

/// Any filter in the grammar's form; within brackets, without value paths.
fn any_filter(in_brackets: bool) -> BoxedStrategy<String> {
    let path = "(a|b\\.c|Andy|urn:x:y:2\\.0:User:d(\\.e-f)?)";
    let value = prop_oneof![
        "(true|false|null|-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?)",
        any::<String>().prop_map(|text| Value::from(text).to_string()),
    ];
    let space = "[ \t\n\u{2003}]{1,2}";
    let op = "(eq|ne|co|sw|ew|gt|ge|lt|le|EQ|Ne|cO)";
    let compare = (path, space, op, space, value)
        .prop_map(|(path, before, op, after, value)| [path, before, op, after, value].concat());
    let term = prop_oneof![3 => compare, 1 => (path, space).prop_map(|(path, space)| format!("{path}{space}pr"))];
    let term = if in_brackets {
        term.boxed()
    } else {
        let value_path = any_filter(true).prop_map(|filter| format!("a.b [ {filter}]"));
        prop_oneof![4 => term, 1 => value_path].boxed()
    };
    let joined = term.prop_recursive(4, 12, 3, move |inner| {
        let join = |word: &'static str| {
            let all = prop::collection::vec(inner.clone(), 2..4);
            (all, word).prop_map(|(all, word): (Vec<String>, String)| all.join(&word))
        };
        prop_oneof![
            join("[ \t](and|AND)[ \n]"),
            join(" (or|Or)  ?"),
            inner.clone().prop_map(|inner| format!("({inner})")),
            inner.clone().prop_map(|inner| format!("Not ({inner} )")),
        ]
    });
    joined.boxed()
}

proptest! {
    #[test]
    fn what_the_grammar_takes_means_the_same(
        text in r#"(not \()?(a|b\.c) +(EQ|co) +("(x|\\"|and|\]| )*"|7|null)(  or c\[d pr and not \(e eq true\)\])?"#,
    ) {
        let text = if text.starts_with("not") { format!("{text})") } else { text };
        let filter = text.parse::<grammar::Filter>().unwrap();
        prop_assert_eq!(parse_filter(&text), Ok(oracle(&filter)));
    }

    #[test]
    fn every_filter_of_the_grammar_means_the_same(text in any_filter(false)) {
        let filter = text.parse::<grammar::Filter>().unwrap();
        prop_assert_eq!(parse_filter(&text), Ok(oracle(&filter)));
    }

    #[test]
    fn every_path_of_the_grammar_means_the_same(
        filter in any_filter(true),
        path in "(a|b\\.c|urn:x:2\\.0:d(\\.e)?)( ?\\[)?",
        sub_attribute in "( ?\\. ?sub)?",
    ) {
        let text = if path.ends_with('[') { format!("{path}{filter}]{sub_attribute}") } else { path };
        let parsed = parse_path(&text).unwrap();
        match text.parse::<grammar::PatchPath>().unwrap() {
            grammar::PatchPath::Attr(path) => {
                prop_assert_eq!(parsed, PathExpression { path: unresolved(&path), filter: None, sub_attribute: None });
            }
            grammar::PatchPath::Value(value) => {
                let (path, filter) = (unresolved(&value.attr), Some(oracle_of_value(&value.filter)));
                let sub_attribute = value.sub_attr.as_deref();
                prop_assert_eq!(parsed, PathExpression { path, filter, sub_attribute });
            }
        }
    }

    /// Nearly right: the parser may take what the grammar refuses, but not the other way round.
    #[test]
    fn a_filter_without_some_of_its_characters_means_the_same_if_it_means_anything(
        text in any_filter(false),
        dropped in prop::collection::vec(any::<prop::sample::Index>(), 1..3),
    ) {
        let mut characters: Vec<char> = text.chars().collect();
        for index in dropped {
            characters.remove(index.index(characters.len()));
        }
        let text: String = characters.into_iter().collect();
        if let Ok(filter) = text.parse::<grammar::Filter>() {
            prop_assert_eq!(parse_filter(&text), Ok(oracle(&filter)), "{}", text);
        }
    }

    #[test]
    fn words_in_any_order_mean_the_same_if_they_mean_anything(
        words in prop::collection::vec(
            r#"(\(|\)|\[|\]|\]\.v|not|and|or| |eq|ne|pr|null|"|"x"|a|\$ref|7|True|\\|é)"#, 0..24,
        ),
    ) {
        let text = words.join(" ");
        if let Ok(filter) = text.parse::<grammar::Filter>() {
            prop_assert_eq!(parse_filter(&text), Ok(oracle(&filter)), "{}", text);
        }
        if text.parse::<grammar::PatchPath>().is_ok() {
            prop_assert!(parse_path(&text).is_ok(), "{}", text);
        }
    }
}
