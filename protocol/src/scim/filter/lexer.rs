//! The tokens of a filter or path (RFC 7644 §3.4.2.2). Spaces only separate them.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Text with its quotes. The closing quote is missing if the text does not end.
    Text(&'a str),
    /// Everything between spaces, brackets and texts: a path, a keyword, an operator or a value without quotes.
    Word(&'a str),
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    End,
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, rest: text }
    }

    /// The next token, and the byte at which it begins. After the last token, [`Token::End`] for ever.
    pub(super) fn next(&mut self) -> (usize, Token<'a>) {
        let rest = self.rest.trim_start();
        let at = self.text.len() - rest.len();
        let length = match rest.chars().next() {
            None => 0,
            Some('"') => quoted_length(rest),
            Some('(' | ')' | '[' | ']') => 1,
            Some(_) => rest.find(ends_word).unwrap_or(rest.len()),
        };
        let (part, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        self.rest = after;
        let token = match part {
            "" => Token::End,
            "(" => Token::Open,
            ")" => Token::Close,
            "[" => Token::OpenBracket,
            "]" => Token::CloseBracket,
            text if text.starts_with('"') => Token::Text(text),
            word => Token::Word(word),
        };
        (at, token)
    }

    /// The place of a byte among the characters of the text, counted from 1.
    pub(super) fn position(&self, at: usize) -> usize {
        self.text.get(..at).map_or(0, |before| before.chars().count()) + 1
    }
}

fn ends_word(character: char) -> bool {
    character.is_whitespace() || matches!(character, '"' | '(' | ')' | '[' | ']')
}

/// The length of the text in quotes at the beginning, in bytes, quotes included.
fn quoted_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}
