//! Texts shown to the user, and their translation.
//!
//! Such a text is written as [`tr!`] where it is used, as [`trn!`] if it depends on a count, or as [`mark!`] in a
//! table whose reader calls [`text`]. The English text is the key of the catalogues; values are named, so that a
//! translation can reorder them. Machine-readable output (XML, names, the formats of `--format`) is never
//! translated.

use std::fmt::{Display, Write as _};
use std::sync::OnceLock;

use crate::environment::Environment;

/// The text for `id` in the user's language, with `{name}` replaced by values.
macro_rules! tr {
    ($id:literal $(, $name:ident = $value:expr)* $(,)?) => {
        $crate::i18n::fill(
            $crate::i18n::text($id),
            &[$((stringify!($name), &$value as &dyn ::std::fmt::Display)),*],
        )
    };
}

/// The text for a count, which replaces `{count}`: `one` or `many` in English, the form that the language's
/// plural rule selects in a translation.
macro_rules! trn {
    ($one:literal, $many:literal, count = $count:expr $(, $name:ident = $value:expr)* $(,)?) => {{
        let count: u128 = $count;
        $crate::i18n::fill(
            $crate::i18n::counted($one, $many, count),
            &[("count", &count as &dyn ::std::fmt::Display)
                $(, (stringify!($name), &$value as &dyn ::std::fmt::Display))*],
        )
    }};
}

/// Marks a text for translation without translating it yet.
macro_rules! mark {
    ($id:literal) => {
        $id
    };
}

pub(crate) use {mark, tr, trn};

/// The texts of one language.
#[derive(Debug)]
struct Catalogue {
    /// Its tag, such as `pt_BR`.
    language: &'static str,
    rule: PluralRule,
    /// English texts with their translations, one per plural form; sorted by the English text.
    texts: &'static [(&'static str, &'static [&'static str])],
}

/// Which plural form a count takes, after gettext's `Plural-Forms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PluralRule {
    /// One form.
    Single,
    /// `n != 1`
    NotOne,
    /// `n > 1`
    AboveOne,
    /// Three forms by the last digits, as in Russian.
    EastSlavic,
}

impl PluralRule {
    /// Index of the form for `n`.
    fn form(self, n: u128) -> usize {
        match self {
            Self::Single => 0,
            Self::NotOne => usize::from(n != 1),
            Self::AboveOne => usize::from(n > 1),
            Self::EastSlavic => match (n % 10, n % 100) {
                (1, tens) if tens != 11 => 0,
                (2..=4, tens) if !(12..=14).contains(&tens) => 1,
                _ => 2,
            },
        }
    }
}

/// Generated from `po/` by the build script.
const CATALOGUES: &[Catalogue] = include!(concat!(env!("OUT_DIR"), "/catalogues.rs"));

/// The user's language; English until one is chosen.
static CHOSEN: OnceLock<&'static Catalogue> = OnceLock::new();

/// Chooses the language that the environment asks for, once per process.
pub(crate) fn choose(environment: &Environment) {
    if let Some(catalogue) = wanted(&|name| environment.text(name)).and_then(catalogue) {
        // a second call has no effect
        let _first = CHOSEN.set(catalogue);
    }
}

/// The catalogue for a language tag.
fn catalogue(tag: &str) -> Option<&'static Catalogue> {
    let tag = tag.split(['.', '@']).next().unwrap_or(tag);
    let language = tag.split('_').next().unwrap_or(tag);
    let find = |tag: &str| CATALOGUES.iter().find(|known| known.language == tag);
    // zh_SG is served by zh_CN, de_AT by de
    let mut related = CATALOGUES.iter();
    find(tag)
        .or_else(|| find(language))
        .or_else(|| related.find(|known| known.language.split('_').next() == Some(language)))
}

/// The first language of the environment with a catalogue.
///
/// gettext(3), "Locale Environment Variables": `LANGUAGE` is a list, ignored in the C locale.
/// `OXIVIRT_LANG` selects the language of this program only.
fn wanted<'e>(variable: &dyn Fn(&str) -> Option<&'e str>) -> Option<&'e str> {
    let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(own) = filled("OXIVIRT_LANG") {
        return Some(own).filter(|own| !is_c(own));
    }
    let locale = filled("LC_ALL").or_else(|| filled("LC_MESSAGES")).or_else(|| filled("LANG"))?;
    if is_c(locale) {
        return None;
    }
    let list = filled("LANGUAGE").unwrap_or_default().split(':');
    let mut known = list.chain([locale]).filter(|tag| !tag.is_empty());
    // English in the list ends it
    known
        .find(|tag| catalogue(tag).is_some() || tag.starts_with("en"))
        .filter(|tag| !tag.starts_with("en"))
}

fn is_c(locale: &str) -> bool {
    matches!(locale.split('.').next(), Some("C" | "POSIX"))
}

/// The text for `id` in the user's language.
pub(crate) fn text(id: &'static str) -> &'static str {
    CHOSEN.get().and_then(|catalogue| catalogue.translation(id, 0)).unwrap_or(id)
}

/// The form of a counted text for `count` in the user's language.
pub(crate) fn counted(one: &'static str, many: &'static str, count: u128) -> &'static str {
    let english = if count == 1 { one } else { many };
    let chosen = CHOSEN.get();
    chosen
        .and_then(|catalogue| catalogue.translation(one, catalogue.rule.form(count)))
        .unwrap_or(english)
}

impl Catalogue {
    fn translation(&self, id: &str, form: usize) -> Option<&'static str> {
        let index = self.texts.binary_search_by(|(known, _)| (*known).cmp(id)).ok()?;
        let (_, forms) = self.texts.get(index)?;
        forms.get(form).copied()
    }
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
mod tests;
