//! The grammar of filters and paths (RFC 7644 §3.4.2.2, figure 1): text becomes a tree, before the schema is asked.
//!
//! Providers write more than the grammar has, and that is read, too: `emails[type eq "work"].value eq "x"`, values
//! without quotes, `True`, `$ref`, and any spacing and letter case of the words.

use serde_json::Value;

use super::lexer::{Lexer, Token};
use super::{CompareOp, Filter};
use crate::scim::path::{UnresolvedPath, is_attribute_name};

/// How many parentheses and brackets may be open at once. More than [`Filter::MAX_DEPTH`]: some may be redundant.
const MAX_OPEN: usize = 64;

/// A filter as it is written. An `and` directly within an `and` becomes part of it, likewise an `or` within an `or`.
/// The value of a comparison is a JSON string, number, boolean or null.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expression<'a> {
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Present(UnresolvedPath<'a>),
    Compare { path: UnresolvedPath<'a>, op: CompareOp, value: Value },
    ValuePath { path: UnresolvedPath<'a>, filter: Box<Self> },
}

/// A path as it is written (RFC 7644 §3.5.2, figure 7): `path`, `path[filter]` or `path[filter].sub`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PathExpression<'a> {
    pub(crate) path: UnresolvedPath<'a>,
    pub(crate) filter: Option<Expression<'a>>,
    pub(crate) sub_attribute: Option<&'a str>,
}

/// Why a text is no filter or path. Never repeats the text: it may hold personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SyntaxError {
    #[error("expected {expected} at character {position}")]
    Unexpected {
        expected: &'static str,
        /// Counted in characters from 1.
        position: usize,
    },
    #[error("the filter is nested deeper than {} levels", Filter::MAX_DEPTH)]
    TooDeep,
}

/// Parses a filter.
pub(super) fn parse_filter(text: &str) -> Result<Expression<'_>, SyntaxError> {
    let mut parser = Parser::new(text);
    let filter = parser.or()?;
    parser.take(Token::End, "'and', 'or' or the end")?;
    Ok(filter)
}

/// Parses the path of a PATCH operation.
pub(crate) fn parse_path(text: &str) -> Result<PathExpression<'_>, SyntaxError> {
    let mut parser = Parser::new(text);
    let path = parser.path("an attribute")?;
    let (mut filter, mut sub_attribute) = (None, None);
    if parser.token == Token::OpenBracket {
        filter = Some(parser.brackets()?);
        // A space may follow the dot: `emails[type eq "work"]. value`.
        if parser.token == Token::Word(".") {
            parser.advance();
            sub_attribute = Some(parser.attribute_name(parser.word())?);
        } else {
            sub_attribute = parser.sub_attribute()?;
        }
    }
    parser.take(Token::End, "the end")?;
    Ok(PathExpression { path, filter, sub_attribute })
}

/// Parses from left to right. Every method stops at the first token that is not part of what it parses.
struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token<'a>,
    /// The byte at which the token begins.
    at: usize,
    /// How many parentheses and brackets are open.
    open: usize,
    /// Whether one of them is a bracket: no value path begins within another.
    in_brackets: bool,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        let mut lexer = Lexer::new(text);
        let (at, token) = lexer.next();
        Self { lexer, token, at, open: 0, in_brackets: false }
    }

    fn or(&mut self) -> Result<Expression<'a>, SyntaxError> {
        let mut left = self.and()?;
        while self.take_keyword("or") {
            left = left.or(self.and()?);
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression<'a>, SyntaxError> {
        let mut left = self.term()?;
        while self.take_keyword("and") {
            left = left.and(self.term()?);
        }
        Ok(left)
    }

    fn term(&mut self) -> Result<Expression<'a>, SyntaxError> {
        if self.token == Token::Open {
            return self.parentheses();
        }
        if self.take_keyword("not") {
            return Ok(Expression::Not(Box::new(self.parentheses()?)));
        }
        let path = self.path("an attribute, 'not' or '('")?;
        if self.token == Token::OpenBracket && !self.in_brackets {
            return self.value_path(path);
        }
        self.comparison(path)
    }

    fn parentheses(&mut self) -> Result<Expression<'a>, SyntaxError> {
        self.take(Token::Open, "'('")?;
        self.enclosed(Token::Close, "'and', 'or' or ')'")
    }

    fn brackets(&mut self) -> Result<Expression<'a>, SyntaxError> {
        self.take(Token::OpenBracket, "'['")?;
        self.in_brackets = true;
        let filter = self.enclosed(Token::CloseBracket, "'and', 'or' or ']'")?;
        self.in_brackets = false;
        Ok(filter)
    }

    /// What stands behind an opening parenthesis or bracket, and the closing one.
    fn enclosed(&mut self, close: Token<'a>, expected: &'static str) -> Result<Expression<'a>, SyntaxError> {
        self.open += 1;
        if self.open > MAX_OPEN {
            return Err(SyntaxError::TooDeep);
        }
        let filter = self.or()?;
        self.take(close, expected)?;
        self.open -= 1;
        Ok(filter)
    }

    /// `path[…]`, and `path[…].sub` with its comparison: RFC 7644 §3.4.2.2 does not have the latter. What is compared
    /// are the values of `sub` in those elements that the brackets select.
    fn value_path(&mut self, path: UnresolvedPath<'a>) -> Result<Expression<'a>, SyntaxError> {
        let inner = self.brackets()?;
        let Some(name) = self.sub_attribute()? else {
            return Ok(Expression::ValuePath { path, filter: Box::new(inner) });
        };
        let selected = |condition| Expression::ValuePath { path, filter: Box::new(inner.and(condition)) };
        Ok(match self.comparison(UnresolvedPath::of_name(name))? {
            Expression::Compare { path, op: CompareOp::Ne, value: Value::Null } => selected(Expression::Present(path)),
            Expression::Compare { path, op: CompareOp::Eq, value: Value::Null } => {
                Expression::Not(Box::new(selected(Expression::Present(path))))
            }
            Expression::Compare { path, op: CompareOp::Ne, value } => {
                Expression::Not(Box::new(selected(Expression::Compare { path, op: CompareOp::Eq, value })))
            }
            condition => selected(condition),
        })
    }

    /// An operator and its value.
    fn comparison(&mut self, path: UnresolvedPath<'a>) -> Result<Expression<'a>, SyntaxError> {
        if self.take_keyword("pr") {
            return Ok(Expression::Present(path));
        }
        let op = self.word().and_then(CompareOp::of_word).ok_or_else(|| self.expected("an operator"))?;
        self.advance();
        let value = self.value().ok_or_else(|| self.expected("a JSON value"))?;
        self.advance();
        Ok(Expression::Compare { path, op, value })
    }

    /// The right side of a comparison. Entra's documentation has one without quotes: `externalId eq jyoung`.
    fn value(&self) -> Option<Value> {
        let word = match self.token {
            Token::Text(text) => return serde_json::from_str(text).ok().map(Value::String),
            Token::Word(word) => word,
            _ => return None,
        };
        if let Ok(value @ (Value::Null | Value::Bool(_) | Value::Number(_))) =
            serde_json::from_str(&word.to_ascii_lowercase())
        {
            return Some(value);
        }
        // Other characters tell of something else that was meant, such as quotes of another kind.
        let is_plain = |character: char| character.is_alphanumeric() || "-_.@:+/=~%".contains(character);
        word.chars().all(is_plain).then(|| Value::from(word))
    }

    fn path(&mut self, expected: &'static str) -> Result<UnresolvedPath<'a>, SyntaxError> {
        let path = self.word().and_then(UnresolvedPath::parse).ok_or_else(|| self.expected(expected))?;
        self.advance();
        Ok(path)
    }

    /// The `.sub` behind brackets, if there is one.
    fn sub_attribute(&mut self) -> Result<Option<&'a str>, SyntaxError> {
        let name = self.word().and_then(|word| word.strip_prefix('.'));
        name.map(|name| self.attribute_name(Some(name))).transpose()
    }

    /// The name that the current token holds, which must be that of a sub-attribute.
    fn attribute_name(&mut self, name: Option<&'a str>) -> Result<&'a str, SyntaxError> {
        let name = name.filter(|name| is_attribute_name(name)).ok_or_else(|| self.expected("a sub-attribute"))?;
        self.advance();
        Ok(name)
    }

    const fn word(&self) -> Option<&'a str> {
        match self.token {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.word().is_some_and(|word| word.eq_ignore_ascii_case(keyword));
        if found {
            self.advance();
        }
        found
    }

    fn take(&mut self, token: Token<'a>, expected: &'static str) -> Result<(), SyntaxError> {
        if self.token != token {
            return Err(self.expected(expected));
        }
        self.advance();
        Ok(())
    }

    fn advance(&mut self) {
        (self.at, self.token) = self.lexer.next();
    }

    fn expected(&self, expected: &'static str) -> SyntaxError {
        SyntaxError::Unexpected { expected, position: self.lexer.position(self.at) }
    }
}

impl Expression<'_> {
    fn and(self, right: Self) -> Self {
        let operands = |filter| match filter {
            Self::And(all) => all,
            other => vec![other],
        };
        let mut all = operands(self);
        all.extend(operands(right));
        Self::And(all)
    }

    fn or(self, right: Self) -> Self {
        let operands = |filter| match filter {
            Self::Or(any) => any,
            other => vec![other],
        };
        let mut any = operands(self);
        any.extend(operands(right));
        Self::Or(any)
    }
}

#[cfg(test)]
mod tests;
