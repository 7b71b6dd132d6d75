//! Reading the chains of other programs.

use crate::user_chain::DroppingChain;
use oxivirt_netlink::attributes::{Attributes, number, text};

/// Families whose chains see packets between links, with their names in nft(8).
pub(super) const FAMILIES: [(u8, &str); 3] = [(1, "inet"), (2, "ip"), (10, "ip6")];
/// `NF_DROP`
const NF_DROP: u32 = 0;
/// `NFT_JUMP`
const JUMP: u32 = (-3_i32).cast_unsigned();

/// A rule that jumps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Jump {
    /// Its number in the table.
    pub(super) handle: u64,
    /// The chain that it jumps to.
    pub(super) to: String,
}

/// Whether a rule message is about a chain: old kernels list those of all.
pub(super) fn is_in(message: &[u8], chain: &str) -> bool {
    Attributes(message).any(|(kind, value)| kind == 2 && text(value) == chain)
}

/// The jump of a rule message that has one.
pub(super) fn jump(message: &[u8], chain: &str) -> Option<Jump> {
    if !is_in(message, chain) {
        return None;
    }
    let attribute = |wanted| Attributes(message).find(|(kind, _)| *kind == wanted);
    let (_, handle) = attribute(3)?;
    let handle = u64::from_be_bytes(*handle.first_chunk()?);
    let (_, expressions) = attribute(4)?;
    let to = Attributes(expressions).find_map(|(_, expression)| target(expression))?;
    Some(Jump { handle, to })
}

/// The chain that an `immediate` expression jumps to.
fn target(expression: &[u8]) -> Option<String> {
    let of = |list, wanted| Attributes(list).find(|(kind, _)| *kind == wanted).map(|(_, v)| v);
    let is_immediate = text(of(expression, 1)?) == "immediate";
    let data = of(of(expression, 2).filter(|_| is_immediate)?, 2)?;
    let verdict = of(data, 2)?;
    (number(of(verdict, 1)?) == JUMP).then(|| of(verdict, 2).map(text))?
}

/// A base chain that drops by default, of a hook that guests' packets pass.
pub(super) fn dropping_chain(family: &'static str, message: &[u8]) -> Option<DroppingChain> {
    let attribute = |wanted| Attributes(message).find(|(kind, _)| *kind == wanted).map(|(_, v)| v);
    let hook = Attributes(attribute(4)?).find(|(kind, _)| *kind == 1).map(|(_, v)| number(v))?;
    // NF_INET_LOCAL_IN, NF_INET_FORWARD, NF_INET_LOCAL_OUT
    let hook = match hook {
        1 => "input",
        2 => "forward",
        3 => "output",
        _ => return None,
    };
    if number(attribute(5)?) != NF_DROP {
        return None;
    }
    let (table, name) = (text(attribute(1)?), text(attribute(3)?));
    Some(DroppingChain { family, table, name, hook })
}
