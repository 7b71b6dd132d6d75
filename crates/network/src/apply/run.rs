//! What each step calls on the host.
//!
//! The only place where a plan meets a host: planning knows steps as data.

use super::HostError;
use super::host::Host;
use crate::components::qos;
use crate::plan::{Step, Undo};

impl Step {
    /// Carries the step out, with what a host offers.
    ///
    /// # Errors
    /// The host's refusal.
    pub async fn run<H: Host>(&self, host: &H) -> Result<(), HostError> {
        match self {
            Self::CreateBridge(bridge) => host.create_bridge(bridge).await,
            Self::SetMtu { link, mtu } => host.set_mtu(link, *mtu).await,
            Self::Sysctl(sysctl) => host.write_setting(sysctl),
            Self::LoadRules(change) => host.load_rules(change).await,
            Self::AddAddress { link, address } => host.add_address(link, *address).await,
            Self::SetUp(link) => host.set_up(link).await,
            Self::AttachPorts { bridge, stp, ports } => {
                host.attach_ports(bridge, *stp, ports).await
            }
            Self::RemoveAddress { link, address } => host.remove_address(link, *address).await,
            Self::FilterVlans(link) => host.filter_vlans(link).await,
            Self::AddRoute { link, route } => host.add_route(link, route).await,
            Self::RemoveRoute { link, route } => host.remove_route(link, route).await,
            Self::ChangeQueues { link, commands, .. } => host.change_queues(link, commands).await,
            Self::RegisterDomain { link, registration } => {
                host.register_domain(link, registration).await
            }
            Self::JoinZone { link, zone } => host.join_zone(link, zone).await,
            Self::WriteFile(file) => host.write_file(file).await,
            Self::Dhcp(step) => step.run(host).await,
            Self::Undo(undo) => undo.run(host).await,
        }
    }
}

impl Undo {
    /// Carries the step out, with what a host offers.
    ///
    /// # Errors
    /// The host's refusal.
    pub async fn run<H: Host>(&self, host: &H) -> Result<(), HostError> {
        match self {
            Self::Dhcp(undo) => undo.run(host).await,
            Self::DeleteBridge { name, address } => host.delete_bridge(name, *address).await,
            Self::RemoveRules(removal) => host.remove_rules(removal).await,
            Self::RemoveLibvirtRules(network) => host.remove_libvirt_rules(network).await,
            Self::RemoveUserChainJump(target) => host.remove_user_chain_jump(target).await,
            Self::RemoveIptables(rules) => host.remove_iptables(rules).await,
            Self::RunRemoval(command) => host.run_removal(command).await,
            Self::ClearQueues { link } => match host.change_queues(link, &qos::clear_all()).await {
                Err(HostError::NoLink { .. }) => Ok(()),
                other => other,
            },
            Self::LeaveZone { link } => {
                host.leave_zone(link).await;
                Ok(())
            }
            Self::RemoveDir { path } => host.remove_dir(path).await,
            Self::RemoveFile { path } => host.remove_file(path).await,
            Self::RemoveIfEmpty { path } => host.remove_if_empty(path).await,
        }
    }
}
