//! Names of a network.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Names of a network, `<dns>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsSpec {
    /// Whether nothing below the network's domain is asked elsewhere: `localOnly='yes'`.
    pub is_local_only: bool,
    /// Whether names without a dot are asked elsewhere: `forwardPlainNames`, true if absent.
    pub forwards_plain_names: bool,
    /// Who is asked, `<forwarder>`, in the order of the definition.
    pub forwarders: Vec<Forwarder>,
    /// Names of addresses, `<host>`.
    pub hosts: Vec<HostNames>,
    /// Texts, `<txt>`.
    pub txt: Vec<Txt>,
    /// Services, `<srv>`.
    pub srv: Vec<Srv>,
}

/// A name server, or a domain's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarder {
    /// The domain it is asked for; all if absent.
    pub domain: Option<String>,
    /// Its address; the host's name servers if absent.
    pub address: Option<IpAddr>,
}

/// Names of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostNames {
    /// The address.
    pub address: IpAddr,
    /// Its names; the first is the one that the address is resolved to.
    pub names: Vec<String>,
}

/// A text record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Txt {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A service record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Srv {
    /// Name of the service without the underscore.
    pub service: String,
    /// Its protocol without the underscore.
    pub protocol: String,
    /// Its domain; the network's if absent.
    pub domain: Option<String>,
    /// Where it is; nowhere if absent.
    pub target: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// Its priority.
    pub priority: Option<u16>,
    /// Its weight.
    pub weight: Option<u16>,
}
