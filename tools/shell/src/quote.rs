//! Quoting of words for a POSIX shell and for XML.

/// A word that a POSIX shell reads back unchanged.
pub(crate) fn quote_for_shell(word: &str) -> String {
    const SPECIAL: &str = "\r\t\n !\"#$&'()*;<>?[\\]^`{|}~";
    if word.is_empty() || word.contains(|c| SPECIAL.contains(c)) {
        format!("'{}'", word.replace('\'', "'\\''"))
    } else {
        word.to_owned()
    }
}

/// A word with the special characters of XML escaped, and without control characters below 0x1a.
pub(crate) fn quote_for_xml(word: &str) -> String {
    let mut out = String::new();
    for c in word.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' | '\n' | '\r' => out.push(c),
            '\u{1}'..='\u{19}' => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_quoted() {
        assert_eq!(quote_for_shell("a"), "a");
        assert_eq!(quote_for_shell(""), "''");
        assert_eq!(quote_for_shell("it's"), "'it'\\''s'");
        assert_eq!(quote_for_xml("<a b='c'>\u{1}&"), "&lt;a b=&apos;c&apos;&gt;&amp;");
    }
}
