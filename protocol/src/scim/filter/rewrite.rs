//! What providers write and the grammar refuses, brought into the form that it takes: `emails[type eq "work"].value eq
//! "x"`, values without quotes, `True`, `$ref`, and any spacing and letter case of the words.
//!
//! Text in quotes is passed on as it is. What makes no sense here is left alone, so that the grammar says what is wrong.

use std::borrow::Cow;

/// How the grammar is told of `$ref`: its attribute names begin with a letter.
pub(crate) const REFERENCE: &str = "dollar-ref";

const OPERATORS: [&str; 10] = ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "pr"];

/// A filter in the grammar's form.
pub(super) fn filter(text: &str) -> Cow<'_, str> {
    settled(text, tokens(text).and_then(|tokens| Reader { rest: &tokens, brackets: true }.expression()))
}

/// A PATCH path, or the path of an attribute, in the grammar's form.
pub(crate) fn path(text: &str) -> Cow<'_, str> {
    settled(text, tokens(text).and_then(|tokens| path_of(&tokens)))
}

fn settled(text: &str, rewritten: Option<String>) -> Cow<'_, str> {
    match rewritten {
        Some(rewritten) if rewritten != text => Cow::Owned(rewritten),
        _ => Cow::Borrowed(text),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// Text with its quotes.
    Text(&'a str),
    /// Everything between spaces, brackets and texts.
    Word(&'a str),
    Open,
    Close,
    OpenBracket,
    CloseBracket,
}

/// The text's tokens; none if a text in quotes does not end.
fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => quoted_length(rest)?,
            '(' | ')' | '[' | ']' => 1,
            _ => rest.find(ends_word).unwrap_or(rest.len()),
        };
        let (part, after) = rest.split_at_checked(length)?;
        tokens.push(match first {
            '"' => Token::Text(part),
            '(' => Token::Open,
            ')' => Token::Close,
            '[' => Token::OpenBracket,
            ']' => Token::CloseBracket,
            _ => Token::Word(part),
        });
        rest = after.trim_start();
    }
    Some(tokens)
}

fn ends_word(character: char) -> bool {
    character.is_whitespace() || matches!(character, '"' | '(' | ')' | '[' | ']')
}

/// The length of the text in quotes at the beginning, in bytes, quotes included.
fn quoted_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map(|end| end + 2)
}

fn path_of(tokens: &[Token<'_>]) -> Option<String> {
    let (attribute, inner, sub_attribute) = match tokens {
        [Token::Word(attribute)] => return Some(name(attribute)),
        [Token::Word(attribute), Token::OpenBracket, inner @ .., Token::CloseBracket] => (attribute, inner, None),
        [Token::Word(attribute), Token::OpenBracket, inner @ .., Token::CloseBracket, Token::Word(sub)] => {
            (attribute, inner, Some(sub.strip_prefix('.')?))
        }
        _ => return None,
    };
    let inner = Reader { rest: inner, brackets: false }.expression()?;
    let after = sub_attribute.map(|sub| format!(".{}", name(sub))).unwrap_or_default();
    Some(format!("{attribute}[{inner}]{after}"))
}

/// Reads a filter from left to right. Every method gives none where the filter makes no sense.
struct Reader<'a> {
    rest: &'a [Token<'a>],
    /// Whether value paths may occur: within their brackets they may not.
    brackets: bool,
}

impl<'a> Reader<'a> {
    fn expression(mut self) -> Option<String> {
        let mut out = String::new();
        loop {
            self.opening(&mut out);
            out.push_str(&self.term()?);
            while let [Token::Close, rest @ ..] = self.rest {
                self.rest = rest;
                out.push(')');
            }
            match self.next() {
                None => return Some(out),
                Some(Token::Word(word)) if word.eq_ignore_ascii_case("and") => out.push_str(" and "),
                Some(Token::Word(word)) if word.eq_ignore_ascii_case("or") => out.push_str(" or "),
                Some(_) => return None,
            }
        }
    }

    /// The parentheses before a term.
    fn opening(&mut self, out: &mut String) {
        loop {
            match self.rest {
                [Token::Open, rest @ ..] => {
                    self.rest = rest;
                    out.push('(');
                }
                [Token::Word(word), Token::Open, rest @ ..] if word.eq_ignore_ascii_case("not") => {
                    self.rest = rest;
                    out.push_str("not (");
                }
                _ => return,
            }
        }
    }

    fn term(&mut self) -> Option<String> {
        let path = self.word()?;
        if self.brackets && self.rest.first() == Some(&Token::OpenBracket) {
            return self.value_path(path);
        }
        let comparison = match (self.operator()?, name(path)) {
            ("pr", path) => format!("{path} pr"),
            (operator, path) => format!("{path} {operator} {}", self.value()?),
        };
        Some(comparison)
    }

    /// `path[…]`, and `path[…].sub` with its comparison: RFC 7644 §3.4.2.2 does not have the latter. What is compared are
    /// the values of `sub` in those elements that the brackets select.
    fn value_path(&mut self, path: &str) -> Option<String> {
        let close = self.rest.iter().position(|token| *token == Token::CloseBracket)?;
        let inner = Reader { rest: self.rest.get(1..close)?, brackets: false }.expression()?;
        self.rest = self.rest.get(close + 1..)?;
        let [Token::Word(after), rest @ ..] = self.rest else { return Some(format!("{path}[{inner}]")) };
        let Some(sub_attribute) = after.strip_prefix('.').map(name) else { return Some(format!("{path}[{inner}]")) };
        self.rest = rest;
        let operator = self.operator()?;
        let value = if operator == "pr" { Cow::Borrowed("") } else { self.value()? };
        let selected = |condition: &str| format!("{path}[({inner}) and {sub_attribute} {condition}]");
        Some(match (operator, &*value) {
            ("pr", _) | ("ne", "null") => selected("pr"),
            ("eq", "null") => format!("not ({})", selected("pr")),
            ("ne", value) => format!("not ({})", selected(&format!("eq {value}"))),
            (operator, value) => selected(&format!("{operator} {value}")),
        })
    }

    fn next(&mut self) -> Option<Token<'a>> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn word(&mut self) -> Option<&'a str> {
        match self.next()? {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    fn operator(&mut self) -> Option<&'static str> {
        let word = self.word()?;
        OPERATORS.into_iter().find(|operator| operator.eq_ignore_ascii_case(word))
    }

    /// The right side of a comparison. Entra's documentation has one without quotes: `externalId eq jyoung`.
    fn value(&mut self) -> Option<Cow<'a, str>> {
        let word = match self.next()? {
            Token::Text(text) => return Some(Cow::Borrowed(text)),
            Token::Word(word) => word,
            _ => return None,
        };
        if let Some(keyword) = ["true", "false", "null"].into_iter().find(|known| known.eq_ignore_ascii_case(word)) {
            return Some(Cow::Borrowed(keyword));
        }
        if serde_json::from_str::<serde_json::Number>(word).is_ok() {
            return Some(Cow::Borrowed(word));
        }
        // Other characters tell of something else that was meant, such as quotes of another kind.
        let is_plain = |character: char| character.is_alphanumeric() || "-_.@:+/=~%".contains(character);
        word.chars().all(is_plain).then(|| Cow::Owned(format!("\"{word}\"")))
    }
}

/// The path with `$ref` as the grammar can read it.
fn name(path: &str) -> String {
    let parts = path.len().checked_sub("$ref".len()).and_then(|at| path.split_at_checked(at));
    match parts {
        Some((before, last)) if last.eq_ignore_ascii_case("$ref") && (before.is_empty() || before.ends_with('.')) => {
            format!("{before}{REFERENCE}")
        }
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use scim_v2::filter::Filter as Grammar;

    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(filter(text), expected, "{text}");
        assert_eq!(filter(expected), expected, "what was rewritten stays");
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
    fn references_are_named_as_the_grammar_can_read_them() {
        check(r#"members.$ref ew "/7""#, r#"members.dollar-ref ew "/7""#);
        check(r#"members[$REF pr].$ref eq "$ref""#, r#"members[(dollar-ref pr) and dollar-ref eq "$ref"]"#);
        assert_eq!(path("urn:a:b:2.0:User:manager.$ref"), "urn:a:b:2.0:User:manager.dollar-ref");
        assert_eq!(path("emails[type EQ work ].value"), r#"emails[type eq "work"].value"#);
    }

    #[test]
    fn what_makes_no_sense_is_left_alone() {
        for text in [
            "",
            "userName",
            "userName is \"x\"",
            "userName EQ",
            "userName EQ 'x'",
            "userName EQ a b",
            "userName EQ \"x",
            "emails[type EQ \"x\"",
            "emails[a[b PR]].c EQ 1",
            "title PR and",
            "not title PR",
        ] {
            assert_eq!(filter(text), text);
        }
        for text in ["", "emails[", "emails[type EQ \"x\"]value", "a b"] {
            assert_eq!(path(text), text);
        }
    }

    proptest! {
        #[test]
        fn what_the_grammar_takes_means_the_same(
            text in r#"(not \()?(a|b\.c) +(EQ|co) +("(x|\\"|and|\]| )*"|7|null)(  or c\[d pr and not \(e eq true\)\])?"#,
        ) {
            let text = if text.starts_with("not") { format!("{text})") } else { text };
            let before = text.parse::<Grammar>();
            prop_assert!(before.is_ok(), "{}", text);
            prop_assert_eq!(filter(&text).parse::<Grammar>().ok(), before.ok());
        }

        #[test]
        fn the_length_is_bounded_and_a_second_pass_changes_nothing(
            words in prop::collection::vec(
                r#"(\(|\)|\[|\]|\]\.v|not|and|or| |eq|ne|pr|null|"|"x"|a|\$ref|7|True|\\|é)"#, 0..24,
            ),
        ) {
            let text = words.join(" ");
            let once = filter(&text).into_owned();
            prop_assert!(once.len() <= 4 * text.len());
            prop_assert_eq!(filter(&once), once.as_str());
            let once = path(&text).into_owned();
            prop_assert_eq!(path(&once), once.as_str());
        }
    }
}
