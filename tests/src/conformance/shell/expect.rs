//! Holds what a shell answered against what it should have answered.

use super::format::Answer;
use super::run::Found;

/// What is different, if anything is.
pub(super) fn difference(expected: &Answer, found: &Found) -> Option<String> {
    if expected.status != found.status {
        return Some(format!(
            "status {} instead of {}; stdout {:?}, stderr {:?}",
            found.status, expected.status, found.stdout, found.stderr
        ));
    }
    stream("stdout", &expected.stdout, &found.stdout)
        .or_else(|| stream("stderr", &expected.stderr, &found.stderr))
}

fn stream(what: &str, expected: &str, found: &str) -> Option<String> {
    if matches(expected, found) {
        return None;
    }
    let mut pairs = expected.split('\n').zip(found.split('\n')).enumerate();
    Some(match pairs.find(|(_, (expected, found))| !matches(expected, found)) {
        Some((at, (expected, found))) => {
            format!("{what} line {}: found {found:?}, expected {expected:?}", at + 1)
        }
        None => format!("{what}: found {found:?}, expected {expected:?}"),
    })
}

/// A placeholder and how much of a text it can stand for.
struct Placeholder {
    word: &'static str,
    fits: fn(&str) -> bool,
}

const PLACEHOLDERS: &[Placeholder] = &[
    Placeholder { word: "{{text}}", fits: is_line },
    Placeholder { word: "{{host}}", fits: is_line },
    Placeholder { word: "{{ver}}", fits: is_version },
    Placeholder { word: "{{ms}}", fits: |text| only(text, "0123456789.") },
    Placeholder {
        word: "{{tmp}}",
        fits: |text| text.starts_with('/') && !text.contains(['\n', ' ']),
    },
    Placeholder {
        word: "{{mac}}",
        fits: |text| text.len() == 17 && only(text, "0123456789abcdef:"),
    },
    Placeholder {
        word: "{{time}}",
        fits: |text| text.len() == 28 && only(text, "0123456789-+:. "),
    },
];

fn is_line(text: &str) -> bool {
    !text.is_empty() && !text.contains('\n')
}

fn is_version(text: &str) -> bool {
    let parts: Vec<_> = text.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| only(part, "0123456789"))
}

fn only(text: &str, allowed: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| allowed.contains(c))
}

/// Whether `found` is `pattern` with something fitting in the place of every placeholder.
fn matches(pattern: &str, found: &str) -> bool {
    let next = PLACEHOLDERS
        .iter()
        .filter_map(|placeholder| Some((pattern.find(placeholder.word)?, placeholder)))
        .min_by_key(|(at, _)| *at);
    let Some((at, placeholder)) = next else { return pattern == found };
    let (before, after) = pattern.split_at(at);
    let after = &after[placeholder.word.len()..];
    let Some(rest) = found.strip_prefix(before) else { return false };
    let line = rest.find('\n').unwrap_or(rest.len());
    (1..=line).filter(|&end| rest.is_char_boundary(end)).any(|end| {
        let (value, rest) = rest.split_at(end);
        (placeholder.fits)(value) && matches(after, rest)
    })
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[track_caller]
    fn check(pattern: &str, found: &str, expect: bool) {
        assert_eq!(matches(pattern, found), expect, "{pattern:?} {found:?}");
    }

    #[test]
    fn placeholders() {
        check("a\n", "a\n", true);
        check("a\n", "a", false);
        check("v {{ver}}\n{{text}}\n", "v 11.3.0\nx y\n", true);
        check("v {{ver}}\n", "v 11.3\n", false);
        check("{{text}}\n", "\n", false);
        check("{{text}}\n", "a\nb\n", false);
        check("x {{tmp}}) y", "x /tmp/a.xml) y", true);
        check("{{mac}}'", "52:54:00:00:00:01'", true);
        check("{{time}}: e", "2026-11-22 10:19:56.312+0000: e", true);
        check("({{ms}} ms)", "(0.123 ms)", true);
        check("({{ms}} ms)", "(,5 ms)", false);
    }
}
