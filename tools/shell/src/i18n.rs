//! Texts a person reads.
//!
//! Every such text is written as [`tr!`] where it is used, or as [`mark!`] in a table whose user
//! calls [`text`]. The English text is its own key; values are named, so that a translation can
//! put them in another order. What machines read — XML, names, formats of `--format` — never
//! goes through here.

use std::fmt::{Display, Write as _};

/// The text for `id` in the user's language, with `{name}` replaced by values.
macro_rules! tr {
    ($id:literal $(, $name:ident = $value:expr)* $(,)?) => {
        $crate::i18n::fill(
            $crate::i18n::text($id),
            &[$((stringify!($name), &$value as &dyn ::std::fmt::Display)),*],
        )
    };
}

/// Names a text for translation without translating it yet.
macro_rules! mark {
    ($id:literal) => {
        $id
    };
}

pub(crate) use {mark, tr};

/// The text for `id` in the user's language.
pub(crate) fn text(id: &'static str) -> &'static str {
    id
}

/// Puts values into a text; a name without a value stays as it is.
pub(crate) fn fill(text: &str, values: &[(&str, &dyn Display)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let named = after.split_once('}').and_then(|(name, after)| {
            let (_, value) = values.iter().find(|(key, _)| *key == name)?;
            Some((value, after))
        });
        match named {
            Some((value, after)) => {
                // writing to a String cannot fail
                let _infallible = write!(filled, "{value}");
                rest = after;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    #[track_caller]
    fn check(text: &str, expect: &str) {
        let values: [(&str, &dyn std::fmt::Display); 2] = [("name", &"{n}"), ("count", &7)];
        assert_eq!(super::fill(text, &values), expect);
    }

    #[test]
    fn values_are_named_and_not_read_again() {
        check("", "");
        check("a", "a");
        check("{name}", "{n}");
        check("{count} of {name}, {count}", "7 of {n}, 7");
        check("{other} {", "{other} {");
        check("}{{name}", "}{{n}");
    }
}
