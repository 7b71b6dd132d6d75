//! Tokens (section 3.7 of the recommendation).

use super::XPathError;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// `(`, `//`, `!=`, …
    Symbol(&'static str),
    /// `and`, `or`, `mod`, `div`, `*` where an operator stands.
    Operator(&'static str),
    Number(f64),
    Literal(String),
    /// A name, with its prefix if it has one.
    Name(String),
    /// `*` or `prefix:*` where a name stands.
    Any(Option<String>),
}

/// Longest first, so that the first match is the right one.
const SYMBOLS: [&str; 21] = [
    "::", "//", "..", "!=", "<=", ">=", "(", ")", "[", "]", "@", ",", "/", "|", "+", "-", "=", "<",
    ">", ".", "$",
];

/// Limit on tokens: a chain of operators nests as deep as it is long.
const MAX_TOKENS: usize = 1000;

/// Splits an expression into tokens with their positions in characters.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, XPathError> {
    let mut found: Vec<(Token, usize)> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(first) = rest.chars().next() else { return Ok(found) };
        let at = text.chars().count() - rest.chars().count();
        let wants_operator = found.last().is_some_and(|(token, _)| ends_operand(token));
        let (token, length) = if let Some((token, length)) = literal(rest, at)? {
            (token, length)
        } else if let Some((token, length)) = number(rest) {
            (token, length)
        } else if first == '*' {
            let token = if wants_operator { Token::Operator("*") } else { Token::Any(None) };
            (token, 1)
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            (Token::Symbol(symbol), symbol.len())
        } else {
            name(rest, at, wants_operator)?
        };
        if found.len() >= MAX_TOKENS {
            return Err(XPathError::TooDeep);
        }
        found.push((token, at));
        rest = rest.get(length..).unwrap_or_default();
    }
}

/// Whether an operator follows: `*` and names are read as operators behind an operand.
fn ends_operand(token: &Token) -> bool {
    match token {
        Token::Symbol(symbol) => matches!(*symbol, ")" | "]" | "." | ".."),
        Token::Operator(_) => false,
        Token::Number(_) | Token::Literal(_) | Token::Name(_) | Token::Any(_) => true,
    }
}

fn literal(rest: &str, at: usize) -> Result<Option<(Token, usize)>, XPathError> {
    let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return Ok(None);
    };
    let inner = rest.get(1..).unwrap_or_default();
    let Some(end) = inner.find(quote) else {
        return Err(XPathError::Syntax { what: "unfinished literal", at });
    };
    Ok(Some((Token::Literal(inner.get(..end).unwrap_or_default().to_owned()), end + 2)))
}

fn number(rest: &str) -> Option<(Token, usize)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(rest);
    let behind = rest.get(whole..)?;
    let fraction = behind.strip_prefix('.').map(digits);
    let length = match (whole, fraction) {
        (0, None | Some(0)) => return None,
        (whole, None) => whole,
        (whole, Some(fraction)) => whole + 1 + fraction,
    };
    let number = rest.get(..length)?.parse().ok()?;
    Some((Token::Number(number), length))
}

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '\u{b7}')
}

fn ncname(text: &str) -> usize {
    let mut chars = text.char_indices();
    match chars.next() {
        Some((_, c)) if is_name_start(c) => {}
        _ => return 0,
    }
    chars.find(|(_, c)| !is_name_part(*c)).map_or(text.len(), |(at, _)| at)
}

fn name(rest: &str, at: usize, wants_operator: bool) -> Result<(Token, usize), XPathError> {
    let first = ncname(rest);
    if first == 0 {
        return Err(XPathError::Syntax { what: "invalid expression", at });
    }
    let word = rest.get(..first).unwrap_or_default();
    if wants_operator {
        let operator = ["and", "or", "mod", "div"].into_iter().find(|operator| *operator == word);
        let unexpected = XPathError::Syntax { what: "invalid expression", at };
        return operator.map(|operator| (Token::Operator(operator), first)).ok_or(unexpected);
    }
    let behind = rest.get(first..).unwrap_or_default();
    match behind.strip_prefix(':').filter(|behind| !behind.starts_with(':')) {
        Some(behind) if behind.starts_with('*') => {
            Ok((Token::Any(Some(word.to_owned())), first + 2))
        }
        Some(behind) if ncname(behind) > 0 => {
            let length = first + 1 + ncname(behind);
            Ok((Token::Name(rest.get(..length).unwrap_or_default().to_owned()), length))
        }
        Some(_) => Err(XPathError::Syntax { what: "invalid expression", at }),
        None => Ok((Token::Name(word.to_owned()), first)),
    }
}
