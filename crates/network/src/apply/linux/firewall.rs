//! Firewall rules, by nfnetlink or the iptables programs.

use std::collections::BTreeMap;

use oxivirt_conf::status::FirewallBackend;
use oxivirt_nft::counters::RuleCount;
use oxivirt_nft::iptables::Rule;
use oxivirt_nft::kernel::{DeleteTableIf, Load};
use oxivirt_nft::libvirt::NetworkRules;
use oxivirt_nft::xtables::XtablesError;
use oxivirt_nft::{Family, Removal, Transaction};
use oxivirt_sys::chain;
use oxivirt_sys::command::{self, Command};

use super::LinuxHost;
use crate::apply::HostError;
use crate::apply::host::Firewall;
use crate::components::rules::{Rules, RulesChange};
use crate::plan::nftables;
use crate::plan::removal::{ForeignRemoval, JumpTarget};

impl Firewall for LinuxHost {
    async fn backends(&self) -> Vec<FirewallBackend> {
        let mut found = Vec::new();
        // Without privileges the first network that is started says so.
        let is_there = match self.nft() {
            Ok(nft) => nft.generation().await.map(drop),
            Err(error) => Err(error),
        };
        match is_there {
            Err(error) if !error.is_not_permitted() => {
                tracing::info!(
                    error = chain::text(&error),
                    "not offering the nftables backend: the kernel lacks it"
                );
            }
            _ => found.push(FirewallBackend::Nftables),
        }
        if self.xtables.is_installed() {
            found.push(FirewallBackend::Iptables);
        }
        found
    }

    async fn counts(&self, backend: FirewallBackend) -> Result<Vec<RuleCount>, HostError> {
        match backend {
            FirewallBackend::Nftables => Ok(self.nft()?.counts(nftables::TABLE).await?),
            FirewallBackend::Iptables => {
                let mut counts = self.xtables.counts(Family::Ipv4).await?;
                counts.extend(self.xtables.counts(Family::Ipv6).await?);
                Ok(counts)
            }
            FirewallBackend::None => Ok(Vec::new()),
        }
    }

    async fn can_own_table(&self) -> bool {
        let answer = match self.nft() {
            Ok(nft) => nft.can_own_tables().await,
            Err(error) => Err(error),
        };
        answer
            .inspect_err(|error| {
                tracing::debug!(error = chain::text(error), "cannot probe table ownership");
            })
            .unwrap_or(false)
    }

    async fn is_table_owned(&self) -> Result<Option<bool>, HostError> {
        Ok(self.nft()?.is_owned_table(nftables::TABLE).await?)
    }

    async fn claim_table(&self) -> Result<(), HostError> {
        Ok(self.nft()?.claim(nftables::TABLE).await?)
    }

    async fn loaded(&self, wanted: &[&Rules]) -> Result<Vec<bool>, HostError> {
        let (mut loads, mut lists) = (Vec::new(), Vec::new());
        for rules in wanted {
            match rules {
                Rules::Nftables(load) => loads.push(load),
                Rules::Iptables(list) => lists.push(list.as_slice()),
            }
        }
        let mut loads = self.nftables_loaded(&loads).await?.into_iter();
        let mut lists = self.iptables_loaded(&lists).await?.into_iter();
        let next = |rules: &&Rules| match rules {
            Rules::Nftables(_) => loads.next().unwrap_or(false),
            Rules::Iptables(_) => lists.next().unwrap_or(false),
        };
        Ok(wanted.iter().map(next).collect())
    }

    async fn load_rules(&self, change: &RulesChange) -> Result<(), HostError> {
        match change {
            RulesChange::Nftables(load) => Ok(self.nft()?.apply(load.clone()).await?),
            RulesChange::Iptables(change) => {
                Ok(self.xtables.replace(&change.remove, &change.add).await?)
            }
        }
    }

    async fn remove_rules(&self, removal: &Removal) -> Result<(), HostError> {
        let nft = self.nft()?;
        let table = removal.table.clone();
        nft.remove(removal.clone()).await?;
        nft.delete_table_if(DeleteTableIf { table, is_shared: nftables::is_shared_chain }).await?;
        Ok(())
    }

    async fn remove_libvirt_rules(&self, network: &NetworkRules) -> Result<(), HostError> {
        let transaction = Transaction { table: nftables::TABLE.to_owned(), changes: Vec::new() };
        let load = Load { transaction, supersedes: vec![network.clone()], ..Load::default() };
        Ok(self.nft()?.apply(load).await?)
    }

    async fn remove_user_chain_jump(&self, target: &JumpTarget) -> Result<(), HostError> {
        Ok(self.nft()?.remove_user_chain_jump(target.family, target.bridge.clone()).await?)
    }

    async fn remove_iptables(&self, rules: &[Rule]) -> Result<(), HostError> {
        match self.xtables.replace(rules, &[]).await {
            Err(XtablesError::Absent { program }) => {
                tracing::info!(program, "not removing rules: the program is not installed");
                Ok(())
            }
            other => Ok(other?),
        }
    }

    async fn run_removal(&self, command: &ForeignRemoval) -> Result<(), HostError> {
        let program = command.program.name();
        let path = command::find_in_path(program, &self.search_path)
            .ok_or_else(|| HostError::NoProgram { program: program.to_owned() })?;
        let lock = command.program.lock_option().map(str::to_owned);
        let arguments = lock.into_iter().chain(command.args.iter().cloned());
        let output = Command::new(path).args(arguments).run().await?;
        if !output.status.success() {
            tracing::debug!(
                program,
                complaint = output.complaint(),
                "saved removal command failed"
            );
        }
        Ok(())
    }
}

impl LinuxHost {
    /// Which rule sets the kernel holds, with nothing of libvirt beside them and complete jumps of other
    /// programs' chains.
    async fn nftables_loaded(&self, wanted: &[&Load]) -> Result<Vec<bool>, HostError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let table = self.nft()?.observe(nftables::TABLE).await?;
        let superseded: Vec<_> =
            wanted.iter().flat_map(|load| load.supersedes.iter().cloned()).collect();
        let left = match superseded.is_empty() {
            true => Vec::new(),
            false => self.nft()?.observe_libvirt(superseded.clone()).await?,
        };
        let left = superseded.iter().zip(left).filter(|(_, is_there)| *is_there);
        let left: Vec<_> = left.map(|(network, _)| network).collect();
        let jumps: Vec<_> = wanted.iter().flat_map(|load| load.jumps.iter().cloned()).collect();
        let complete = match jumps.is_empty() {
            true => Vec::new(),
            false => self.nft()?.observe_user_chain_jumps(jumps.clone()).await?,
        };
        let complete = jumps.iter().zip(complete).filter(|(_, is_complete)| *is_complete);
        let complete: Vec<_> = complete.map(|(jump, _)| jump).collect();
        let is_loaded = |load: &&Load| {
            table.as_ref().is_some_and(|table| table.holds(&load.transaction))
                && !load.supersedes.iter().any(|network| left.contains(&network))
                && load.jumps.iter().all(|jump| complete.contains(&jump))
        };
        Ok(wanted.iter().map(is_loaded).collect())
    }

    async fn iptables_loaded(&self, wanted: &[&[Rule]]) -> Result<Vec<bool>, HostError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let mut listings = BTreeMap::new();
        for family in [Family::Ipv4, Family::Ipv6] {
            listings.insert(family, self.xtables.list(family).await?);
        }
        let is_loaded = |rules: &&[Rule]| {
            listings.iter().all(|(family, listing)| {
                let of_family = rules.iter().filter(|rule| rule.family == *family);
                listing.holds(&of_family.cloned().collect::<Vec<_>>())
            })
        };
        Ok(wanted.iter().map(is_loaded).collect())
    }
}
