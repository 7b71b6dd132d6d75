//! Suggestions for mistyped words, printed as hints below a message.

use crate::i18n::tr;

/// The candidate that differs least from `word`; `None` if none is similar.
///
/// A candidate of which `word` is the beginning counts as similar if there is only one.
pub(crate) fn closest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    // a third of the letters may be wrong
    let limit = (word.chars().count() / 3).clamp(1, 3);
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let mut prefixed = candidates.iter().filter(|candidate| candidate.starts_with(word));
    if let (true, Some(only), None) = (word.len() > 1, prefixed.next(), prefixed.next()) {
        return Some(only);
    }
    let distances = candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate));
    let similar = distances.filter(|(distance, _)| *distance <= limit);
    similar.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// The hint for a word that is close to a valid one.
pub(crate) fn did_you_mean(suggestion: &str) -> String {
    tr!("did you mean '{suggestion}'?", suggestion = suggestion)
}

/// The hint for a word that is none of `valid`: the closest one, and all of them.
pub(crate) fn valid_values(word: &str, valid: &[&str]) -> String {
    let values = valid.join(", ");
    match closest(word, valid.iter().copied()) {
        Some(suggestion) => tr!(
            "did you mean '{suggestion}'? Valid values: {values}",
            suggestion = suggestion,
            values = values
        ),
        None => tr!("valid values: {values}", values = values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, expect: Option<&str>) {
        const COMMANDS: [&str; 5] = ["net-list", "net-start", "net-info", "net-destroy", "uri"];
        assert_eq!(closest(word, COMMANDS), expect, "{word}");
    }

    #[test]
    fn similar_words_are_suggested() {
        check("net-lst", Some("net-list"));
        check("net-strat", Some("net-start"));
        check("net-destory", Some("net-destroy"));
        check("net-inf", Some("net-info"));
        check("url", Some("uri"));
        check("net-", None);
        check("frobnicate", None);
        check("", None);
    }

    #[test]
    fn valid_values_are_listed() {
        let values = ["nat", "route", "open"];
        let expect = "did you mean 'route'? Valid values: nat, route, open";
        assert_eq!(valid_values("routed", &values), expect);
        assert_eq!(valid_values("x", &values), "valid values: nat, route, open");
    }
}
