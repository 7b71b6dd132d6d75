//! Where an error of the driver becomes one of the API: number, domain, message.
//!
//! Scripts depend on number and domain, so this table is tested.

use std::io;

use oxivirt::{Error, ErrorCode, ErrorDomain};
use oxivirt_engine::JournalError;
use oxivirt_engine::hooks::HookError;
use oxivirt_nft::xtables::XtablesError;
use oxivirt_sys::chain;
use oxivirt_sys::pidfile::PidFileError;

use crate::apply::{HostError, Stopped};
use crate::leases::LeasesError;
use crate::plan::Step;
use crate::plan::error::PlanError;
use crate::plan::port::PortPlanError;
use crate::store::{MacsError, StoreError};

/// A network cannot be started on this host.
#[must_use]
pub(crate) fn plan(error: &PlanError) -> Error {
    let (code, domain) = match error {
        PlanError::ServerWord { .. } | PlanError::ServerOptions => {
            (ErrorCode::CONFIG_UNSUPPORTED, ErrorDomain::NETWORK)
        }
        PlanError::NoBridgeName { .. }
        | PlanError::NoVirtualFunctions { .. }
        | PlanError::NoMac { .. }
        | PlanError::Prefix { .. }
        | PlanError::RaRoutes { .. } => (ErrorCode::INTERNAL_ERROR, ErrorDomain::NETWORK),
        PlanError::InUse { .. }
        | PlanError::RouteInUse { .. }
        | PlanError::PortRange { .. }
        | PlanError::Zone { .. }
        | PlanError::NoLibvirtZone => (ErrorCode::INTERNAL_ERROR, ErrorDomain::NONE),
        PlanError::LinkName(_)
        | PlanError::BridgeExists { .. }
        | PlanError::NotPermitted { .. }
        | PlanError::NoDnsmasq => (ErrorCode::SYSTEM_ERROR, ErrorDomain::NONE),
        PlanError::UnresponsiveFirewalld { .. } => (ErrorCode::DBUS_SERVICE, ErrorDomain::NONE),
        PlanError::NoFirewall => (ErrorCode::NO_SUPPORT, ErrorDomain::NONE),
        PlanError::UnprivilegedBandwidth => (ErrorCode::OPERATION_UNSUPPORTED, ErrorDomain::NONE),
        PlanError::TooManyLayers { .. } | PlanError::Path { .. } => {
            (ErrorCode::CONFIG_UNSUPPORTED, ErrorDomain::NETWORK)
        }
        PlanError::Dnsmasq(error) => (error.code(), ErrorDomain::NETWORK),
    };
    Error::new(code, domain, error.to_string())
}

/// A plan stopped at a step.
#[must_use]
pub(crate) fn stopped(stopped: &Stopped) -> Error {
    if let (Step::CreateBridge(bridge), HostError::Netlink(error)) =
        (&*stopped.step, &stopped.error)
        && let Some(errno) = error.errno()
    {
        let what = format!("error creating bridge interface {}", bridge.name);
        return Error::system(ErrorDomain::NONE, errno, what);
    }
    host(&stopped.error)
}

/// The host refused.
#[must_use]
pub(crate) fn host(error: &HostError) -> Error {
    let text = chain::text(error);
    match error {
        HostError::Nft(_) => Error::new(
            ErrorCode::INTERNAL_ERROR,
            ErrorDomain::NETWORK,
            format!("Failed to apply firewall rules: {text}"),
        ),
        HostError::Xtables(XtablesError::Refused { .. }) => {
            Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::FIREWALL, text)
        }
        HostError::Resolver { is_absent: true, .. } => {
            Error::new(ErrorCode::OPERATION_INVALID, ErrorDomain::NETWORK, text)
        }
        HostError::Firewalld { .. } => Error::new(ErrorCode::DBUS_SERVICE, ErrorDomain::NONE, text),
        HostError::Queue { .. } => Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::NONE, text),
        HostError::Xtables(_)
        | HostError::Dnsmasq(_)
        | HostError::Netserv(_)
        | HostError::Resolver { .. }
        | HostError::Command(_)
        | HostError::NoDnsmasqProcess { .. }
        | HostError::Worker => Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::NETWORK, text),
        HostError::Netlink(_)
        | HostError::File(_)
        | HostError::Sysctl { .. }
        | HostError::NoLink { .. }
        | HostError::NoProgram { .. } => {
            Error::new(ErrorCode::SYSTEM_ERROR, ErrorDomain::NETWORK, text)
        }
    }
}

/// A port cannot be had.
#[must_use]
pub(crate) fn port(error: &PortPlanError) -> Error {
    let text = error.to_string();
    let (code, domain) = match error {
        PortPlanError::Plugged | PortPlanError::Unplugged => {
            (ErrorCode::INVALID_ARG, ErrorDomain::NETWORK)
        }
        PortPlanError::Exists { .. } => (ErrorCode::NETWORK_PORT_EXIST, ErrorDomain::NETWORK),
        PortPlanError::VirtualPort(error) => (error.code(), error.domain()),
        PortPlanError::Association { .. } => (ErrorCode::CONFIG_UNSUPPORTED, ErrorDomain::NETWORK),
        PortPlanError::FloorMode { .. } | PortPlanError::FloorWithoutLimit { .. } => {
            (ErrorCode::OPERATION_UNSUPPORTED, ErrorDomain::NETWORK)
        }
        PortPlanError::Overcommitted { .. } => (ErrorCode::OPERATION_INVALID, ErrorDomain::NETWORK),
        PortPlanError::NoPool { .. }
        | PortPlanError::NoBridge
        | PortPlanError::Exhausted { .. }
        | PortPlanError::NotInPool { .. }
        | PortPlanError::InUse { .. } => (ErrorCode::INTERNAL_ERROR, ErrorDomain::NETWORK),
    };
    Error::new(code, domain, text)
}

/// A hook script refused.
#[must_use]
pub(crate) fn hook(error: &HookError) -> Error {
    Error::new(ErrorCode::HOOK_SCRIPT_FAILED, ErrorDomain::HOOK, error.to_string())
}

/// A MAC map could not be changed.
#[must_use]
pub(crate) fn macs(error: &MacsError) -> Error {
    match error {
        MacsError::File(error) => match error.io() {
            Some(source) => system(source, error),
            None => Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::NETWORK, error.to_string()),
        },
        MacsError::Map(error) => {
            Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::NETWORK, chain::text(error))
        }
    }
}

/// Something on disk could not be read or written.
#[must_use]
pub(crate) fn store(error: &StoreError) -> Error {
    match error {
        StoreError::Document { source, .. } => Error::classified(&**source),
        StoreError::File(file) => match file.io() {
            Some(source) => system(source, file),
            None => Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::NETWORK, file.to_string()),
        },
        StoreError::Link { source, .. } => system(source, error),
    }
}

/// The journal could not be used, so nothing was done.
#[must_use]
pub(crate) fn journal(error: &JournalError) -> Error {
    Error::new(ErrorCode::SYSTEM_ERROR, ErrorDomain::NETWORK, chain::text(error))
}

/// Another driver has the same directories.
#[must_use]
pub(crate) fn pid_file(error: &PidFileError) -> Error {
    let what = match error {
        PidFileError::Held { .. } => "another network driver is running: ",
        _ => "",
    };
    Error::new(
        ErrorCode::SYSTEM_ERROR,
        ErrorDomain::NETWORK,
        format!("{what}{}", chain::text(error)),
    )
}

/// A lease file is damaged.
#[must_use]
pub(crate) fn leases(error: &LeasesError) -> Error {
    Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::NETWORK, chain::text(error))
}

fn system(source: &io::Error, what: &(dyn std::error::Error + 'static)) -> Error {
    Error::io(ErrorDomain::NETWORK, source, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: &Error, code: i32, domain: i32, message: &str) {
        assert_eq!((error.code().0, error.domain().0, error.message()), (code, domain, message));
    }

    #[test]
    fn plan_errors() {
        let in_use = PlanError::InUse { link: "eth0".into() };
        check(&plan(&in_use), 1, 0, "internal error: Network is already in use by interface eth0");
        let range = PlanError::PortRange { start: 5, end: 5 };
        check(&plan(&range), 1, 0, "internal error: Invalid port range '5-5'.");
        let zone = PlanError::Zone { zone: "z".into(), network: "n".into() };
        check(
            &plan(&zone),
            1,
            0,
            "internal error: zone z requested for network n but firewalld is not active",
        );
        check(&plan(&PlanError::NoDnsmasq), 38, 0, "Cannot find 'dnsmasq' in path");
        let name = "sixteen-letters!".parse::<oxivirt_types::link_name::LinkName>().unwrap_err();
        assert_eq!(plan(&PlanError::LinkName(name)).code(), ErrorCode::SYSTEM_ERROR);
    }

    #[test]
    fn documents_keep_number_domain_and_prefix() {
        let error = oxivirt_conf::network::NetworkDef::parse("<domain/>").unwrap_err();
        let error = Error::classified(&error);
        assert_eq!((error.code().0, error.domain().0), (27, 5));
        assert!(error.message().starts_with("XML error: "), "{}", error.message());
    }
}
