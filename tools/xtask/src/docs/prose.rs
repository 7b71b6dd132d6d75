//! Words that the documents do not use, each with plain ones in its place.

use super::Found;

const WORDS: [(&str, &str); 6] = [
    ("told", "reported, logged, named"),
    ("nobody", "no client, no program"),
    ("somebody", "a client, a program"),
    ("whoever", "the user who, a program that"),
    ("anew", "again"),
    ("somewhat", "leave it out"),
];

/// Checks running text; code, in blocks and in lines, is left out.
pub(super) fn check(name: &str, text: &str, found: &mut Found) {
    let mut is_block = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
        } else if !is_block {
            found.result(name, index + 1, plain(line));
        }
    }
}

/// # Errors
/// The line has one of the words.
fn plain(line: &str) -> Result<(), String> {
    let text: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ").to_lowercase();
    let mut words = text.split(|letter: char| !letter.is_alphabetic());
    match words.find_map(|word| WORDS.iter().find(|(known, _)| *known == word)) {
        None => Ok(()),
        Some((word, instead)) => Err(format!("'{word}' is not used in documents ({instead})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_code_are_left_out() {
        let mut found = Found::default();
        check("a.md", "Nobody\n`a_told` b\n```sh\ntold\n```\nIt is told.\n", &mut found);
        let faults: Vec<String> = found.faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults.len(), 2);
        assert!(faults[0].starts_with("a.md:1: 'nobody'"), "{faults:?}");
        assert!(faults[1].starts_with("a.md:6: 'told'"), "{faults:?}");
    }
}
