//! What holds for every plan, stated apart from the planner.

use oxivirt_nft::Change;

use super::{Plan, RulesChange, Step, Undo};

/// Checks a start against the list that undoes it.
///
/// * What a step leaves, the undo list takes away.
/// * A link is used only after it was created.
/// * A rule or element is added to a chain or map that exists by then.
///
/// # Errors
/// The first broken rule, as text.
pub fn check(plan: &Plan<Step>, undo: &Plan<Undo>) -> Result<(), String> {
    for step in plan.steps() {
        let needed = step.undo();
        if !needed.iter().all(|needed| undo.steps().any(|undo| covers(undo, needed))) {
            return Err(format!("nothing undoes '{step}'"));
        }
    }
    check_links(plan)?;
    plan.steps().try_for_each(check_rules)
}

/// A start of dnsmasq and files are undone by path; rules by the same words.
fn covers(undo: &Undo, needed: &Undo) -> bool {
    undo == needed
}

fn check_links(plan: &Plan<Step>) -> Result<(), String> {
    let mut created = Vec::new();
    for stage in &plan.stages {
        let before = created.len();
        for lane in &stage.lanes {
            // A lane must not rely on what another lane of its stage does.
            let mut seen: Vec<_> = created.iter().take(before).cloned().collect();
            for step in lane {
                let used = match step {
                    Step::CreateBridge(bridge) => {
                        seen.push(bridge.name.clone());
                        created.push(bridge.name.clone());
                        continue;
                    }
                    Step::SetMtu { link, .. }
                    | Step::AddAddress { link, .. }
                    | Step::FilterVlans(link)
                    | Step::RegisterDomain { link, .. }
                    | Step::Shape { link, is_of_host: false, .. }
                    | Step::SetUp(link)
                    | Step::AddRoute { link, .. } => link,
                    _ => continue,
                };
                if !seen.contains(used) {
                    return Err(format!("'{step}' before {used} exists"));
                }
            }
        }
    }
    Ok(())
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
