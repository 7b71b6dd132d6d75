//! What holds for every plan, stated apart from the planner.

use oxivirt_nft::Change;

use super::{Plan, Step, Undo};
use crate::components::rules::RulesChange;

/// Checks a start against the list that undoes it.
///
/// * What a step leaves, the undo list takes away.
/// * A link is used only after it was created.
/// * A rule or element is added to a chain or map that exists by then.
///
/// # Errors
/// The first broken rule, as text.
pub fn check(plan: &Plan<Step>, undo: &Plan<Undo>) -> Result<(), String> {
    oxivirt_engine::lint::check(plan, undo).map_err(|error| error.to_string())?;
    plan.steps().try_for_each(check_rules)
}

fn check_rules(step: &Step) -> Result<(), String> {
    let Step::LoadRules(RulesChange::Nftables(load)) = step else { return Ok(()) };
    let mut names = Vec::new();
    for change in &load.transaction.changes {
        let used = match change {
            Change::AddBaseChain { name, .. }
            | Change::AddChain { name, .. }
            | Change::AddSharedChain { name }
            | Change::AddMap { name, .. }
            | Change::AddSet { name, .. } => {
                names.push(name);
                continue;
            }
            Change::AddRule { chain, .. } => chain,
            Change::AddElement { map, .. } => map,
            Change::FlushChain { name } => name,
            _ => continue,
        };
        if !names.contains(&used) {
            return Err(format!("{used} is used before it is added"));
        }
    }
    Ok(())
}
