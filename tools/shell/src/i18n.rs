//! Texts a person reads.
//!
//! Every such text is written as [`tr!`] where it is used, or as [`mark!`] in a table whose user
//! calls [`text`]. The English text is its own key; values are named, so that a translation can
//! put them in another order. What machines read — XML, names, formats of `--format` — never
//! goes through here.

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

/// Names a text for translation without translating it yet.
macro_rules! mark {
    ($id:literal) => {
        $id
    };
}

pub(crate) use {mark, tr};

/// Language tags with their texts, sorted, and translations.
type Catalogues = &'static [(&'static str, &'static [(&'static str, &'static str)])];

/// Made from `po/` by the build script.
const CATALOGUES: Catalogues = include!(concat!(env!("OUT_DIR"), "/catalogues.rs"));

/// The user's language; English until it is chosen.
static CHOSEN: OnceLock<&'static [(&'static str, &'static str)]> = OnceLock::new();

/// Chooses the language that the environment asks for, once for the process.
pub(crate) fn choose(environment: &Environment) {
    if let Some(catalogue) = wanted(&|name| environment.text(name)).and_then(catalogue) {
        // chosen before: whoever was first is right
        let _first = CHOSEN.set(catalogue);
    }
}

/// The texts in one language, by its tag.
fn catalogue(tag: &str) -> Option<&'static [(&'static str, &'static str)]> {
    let tag = tag.split(['.', '@']).next().unwrap_or(tag);
    let find = |tag: &str| CATALOGUES.iter().find(|(language, _)| *language == tag);
    // zh_SG is read as zh_CN, de_AT as de
    let language = tag.split('_').next().unwrap_or(tag);
    let related = || CATALOGUES.iter().find(|(known, _)| known.split('_').next() == Some(language));
    let found = find(tag).or_else(|| find(language)).or_else(related);
    found.map(|(_, texts)| *texts)
}

/// The first language of the environment that there are texts for.
///
/// gettext(3), "Locale Environment Variables": `LANGUAGE` is a list, and does not count where the
/// locale is the C locale. `OXIVIRT_LANG` chooses for us alone.
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
    // English in the list means: no further
    known
        .find(|tag| catalogue(tag).is_some() || tag.starts_with("en"))
        .filter(|tag| !tag.starts_with("en"))
}

fn is_c(locale: &str) -> bool {
    matches!(locale.split('.').next(), Some("C" | "POSIX"))
}

/// The text for `id` in the user's language.
pub(crate) fn text(id: &'static str) -> &'static str {
    CHOSEN.get().map_or(id, |catalogue| lookup(catalogue, id))
}

fn lookup(catalogue: &[(&'static str, &'static str)], id: &'static str) -> &'static str {
    let found = catalogue.binary_search_by(|(known, _)| (*known).cmp(id));
    found.ok().and_then(|index| catalogue.get(index)).map_or(id, |(_, text)| text)
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
