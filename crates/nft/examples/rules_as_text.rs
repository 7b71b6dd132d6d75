//! Builds a small set of firewall rules and prints it as `nft(8)` reads it, and what removes it.

use oxivirt_nft::{Action, Change, Key, Map, Match, Removal, Rule, Transaction, Verdict, text};
use oxivirt_types::link_name::{LinkName, LinkNameError};

#[expect(clippy::print_stdout, reason = "printing is what the example is for")]
fn main() -> Result<(), LinkNameError> {
    let bridge = LinkName::new("virbr0")?;
    let rule = Rule { matches: vec![Match::InLink(bridge.clone())], action: Action::Reject };
    let changes = vec![
        Change::AddTable,
        Change::AddChain { name: "guests".to_owned(), comment: Some("an example".to_owned()) },
        Change::AddMap { name: "from".to_owned(), map: Map::Link },
        Change::AddRule { chain: "guests".to_owned(), rule },
        Change::AddElement {
            map: "from".to_owned(),
            key: Key::Link(bridge),
            verdict: Verdict::Jump("guests".to_owned()),
        },
    ];
    let transaction = Transaction { table: "example".to_owned(), changes };
    print!("{}", text::script(&transaction));
    println!("nft {}", Removal::of(&transaction).words().join(" "));
    Ok(())
}
