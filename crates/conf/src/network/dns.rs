//! `<domain>` and `<dns>`: what the network's name server answers.

use oxivirt_types::ip::Address;
use oxivirt_xml::{Element, Writer};

use super::records::{DnsHost, SERVICE_MAX, SrvRecord, TxtRecord};
use crate::error::{Class, DETAIL, Result, UNSUPPORTED, XML};
use crate::keyword::YesNo;
use crate::node::Node as _;

/// The DNS domain of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Domain {
    /// The domain; without it nothing of the element is printed.
    pub name: Option<String>,
    /// Whether names of the domain are never asked for elsewhere.
    pub local_only: Option<YesNo>,
    /// Whether systemd-resolved learns the domain.
    pub register: Option<YesNo>,
}

/// The name server of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dns {
    /// Whether there is one; absent means yes.
    pub enable: Option<YesNo>,
    /// Whether names without a dot are asked for elsewhere; absent means yes.
    pub forward_plain_names: Option<YesNo>,
    /// Where queries go, in document order.
    pub forwarders: Vec<Forwarder>,
    /// TXT records.
    pub txts: Vec<TxtRecord>,
    /// SRV records.
    pub srvs: Vec<SrvRecord>,
    /// Host names, several addresses for one name and several names for one address.
    pub hosts: Vec<DnsHost>,
}

/// A server for all queries or for those of one domain; one of the two is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forwarder {
    /// The domain served; absent means all.
    pub domain: Option<String>,
    /// The server; absent means the host's own.
    pub addr: Option<Address>,
}

/// What is wrong with `<domain>` or `<dns>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DnsError {
    /// A domain cannot be registered unless it is answered here alone.
    #[error(
        "attribute 'register=yes' in <domain> element requires 'localOnly=yes' in network {network}"
    )]
    RegisterNotLocal {
        /// The network.
        network: String,
    },
    /// A forwarder's address that is none.
    #[error("Invalid forwarder IP address '{address}' in network '{network}'")]
    ForwarderAddress {
        /// The network.
        network: String,
        /// The value given.
        address: String,
    },
    /// A forwarder that says nothing.
    #[error("Invalid forwarder element, must contain at least one of addr or domain")]
    EmptyForwarder,
    /// Records in a disabled name server.
    #[error("Extra data in disabled network '{network}'")]
    Disabled {
        /// The network.
        network: String,
    },
    /// A host without name.
    #[error("Missing hostname in network '{network}' DNS HOST record")]
    NoHostname {
        /// The network.
        network: String,
    },
    /// A host without address.
    #[error("Missing IP address in network '{network}' DNS HOST record")]
    NoHostAddress {
        /// The network.
        network: String,
    },
    /// A host's address that is none.
    #[error("Invalid IP address in network '{network}' DNS HOST record")]
    HostAddress {
        /// The network.
        network: String,
    },
    /// Neither address nor name, so that no host is meant.
    #[error("Missing ip and hostname in network '{network}' DNS HOST record")]
    EmptyHost {
        /// The network.
        network: String,
    },
    /// A TXT record without name.
    #[error("missing required name attribute in DNS TXT record of network {network}")]
    NoTxtName {
        /// The network.
        network: String,
    },
    /// A TXT record's name with a space or comma.
    #[error("prohibited character in DNS TXT record name '{name}' of network {network}")]
    TxtName {
        /// The network.
        network: String,
        /// The record.
        name: String,
    },
    /// A TXT record without value.
    #[error(
        "missing required value attribute in DNS TXT record named '{name}' of network {network}"
    )]
    NoTxtValue {
        /// The network.
        network: String,
        /// The record.
        name: String,
    },
    /// A line end, which would start a line of the name server's configuration (CVE-2026-61477).
    #[error("prohibited line end in {attribute} of a DNS record of network {network}")]
    LineEnd {
        /// The network.
        network: String,
        /// The attribute.
        attribute: &'static str,
    },
    /// An SRV record without service.
    #[error("missing required service attribute in DNS SRV record of network '{network}'")]
    NoService {
        /// The network.
        network: String,
    },
    /// A service name beyond 482 bytes.
    #[error(
        "service attribute '{service}' in network '{network}' is too long, limit is {SERVICE_MAX} bytes"
    )]
    ServiceTooLong {
        /// The network.
        network: String,
        /// The service.
        service: String,
    },
    /// A character services do not have.
    #[error(
        "invalid character in service attribute '{service}' in DNS SRV record of network '{network}'"
    )]
    Service {
        /// The network.
        network: String,
        /// The service.
        service: String,
    },
    /// An SRV record without protocol.
    #[error(
        "missing required protocol attribute in DNS SRV record '{service}' of network '{network}'"
    )]
    NoProtocol {
        /// The network.
        network: String,
        /// The service.
        service: String,
    },
    /// A character protocols do not have.
    #[error(
        "invalid character in protocol attribute '{protocol}' in DNS SRV record of network '{network}'"
    )]
    Protocol {
        /// The network.
        network: String,
        /// The protocol.
        protocol: String,
    },
    /// A number that means nothing without a target.
    #[error(
        "DNS SRV {attribute} attribute not permitted without target for service '{service}' in network '{network}'"
    )]
    NoTarget {
        /// The network.
        network: String,
        /// The service.
        service: String,
        /// The attribute.
        attribute: &'static str,
    },
    /// A number out of range.
    #[error(
        "{} DNS SRV {attribute} attribute for service '{service}' in network '{network}'",
        if *.attribute == "priority" { "Invalid" } else { "invalid" }
    )]
    Number {
        /// The network.
        network: String,
        /// The service.
        service: String,
        /// The attribute.
        attribute: &'static str,
    },
}

impl DnsError {
    pub(crate) const fn class(&self) -> Class {
        match self {
            Self::RegisterNotLocal { .. } => UNSUPPORTED,
            Self::ForwarderAddress { .. } | Self::EmptyForwarder | Self::Disabled { .. } => XML,
            _ => DETAIL,
        }
    }
}

impl Domain {
    pub(super) fn parse(node: Option<&Element<'_>>, network: &str) -> Result<Self> {
        let Some(node) = node else {
            return Ok(Self::default());
        };
        let domain = Self {
            name: node.property("name").map(str::to_owned),
            local_only: node.yes_no("localOnly")?,
            register: node.yes_no("register")?,
        };
        if domain.register == Some(YesNo::Yes) && domain.local_only != Some(YesNo::Yes) {
            return Err(DnsError::RegisterNotLocal { network: network.to_owned() }.into());
        }
        Ok(domain)
    }

    pub(super) fn format(&self, out: &mut Writer) {
        if let Some(name) = &self.name {
            out.begin("domain")
                .attr("name", name)
                .display_opt("localOnly", self.local_only)
                .display_opt("register", self.register)
                .empty();
        }
    }
}

impl Dns {
    /// Whether the name server answers.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enable != Some(YesNo::No)
    }

    /// libvirt 11.3.0: `virNetworkDNSDefParseXML`, src/conf/network_conf.c
    pub(super) fn parse(node: Option<&Element<'_>>, network: &str) -> Result<Self> {
        let Some(node) = node else {
            return Ok(Self::default());
        };
        let mut dns = Self {
            enable: node.yes_no("enable")?,
            forward_plain_names: node.yes_no("forwardPlainNames")?,
            ..Self::default()
        };
        for node in node.children("forwarder") {
            dns.forwarders.push(Forwarder::parse(node, network)?);
        }
        for node in node.children("host") {
            dns.hosts.push(DnsHost::parse(node, network)?);
        }
        for node in node.children("srv") {
            dns.srvs.push(SrvRecord::parse(node, network)?);
        }
        for node in node.children("txt") {
            dns.txts.push(TxtRecord::parse(node, network)?);
        }
        if !dns.is_enabled() && !dns.is_empty() {
            return Err(DnsError::Disabled { network: network.to_owned() }.into());
        }
        Ok(dns)
    }

    const fn is_empty(&self) -> bool {
        self.forwarders.is_empty()
            && self.txts.is_empty()
            && self.srvs.is_empty()
            && self.hosts.is_empty()
    }

    pub(super) fn format(&self, out: &mut Writer) {
        if self.enable.is_none() && self.forward_plain_names.is_none() && self.is_empty() {
            return;
        }
        let tag = out
            .begin("dns")
            .display_opt("enable", self.enable)
            .display_opt("forwardPlainNames", self.forward_plain_names);
        if self.is_empty() {
            tag.empty();
            return;
        }
        tag.open();
        for forwarder in &self.forwarders {
            out.begin("forwarder")
                .attr_opt("domain", forwarder.domain.as_deref())
                .display_opt("addr", forwarder.addr)
                .empty();
        }
        for txt in &self.txts {
            out.begin("txt").attr("name", &txt.name).attr("value", &txt.value).empty();
        }
        for srv in &self.srvs {
            srv.format(out);
        }
        for host in &self.hosts {
            out.begin("host").display("ip", host.ip).open();
            for hostname in &host.hostnames {
                out.text("hostname", hostname);
            }
            out.end("host");
        }
        out.end("dns");
    }
}

impl Forwarder {
    fn parse(node: &Element<'_>, network: &str) -> Result<Self, DnsError> {
        let addr = match node.property("addr") {
            Some(text) => Some(text.parse().map_err(|_| DnsError::ForwarderAddress {
                network: network.to_owned(),
                address: text.to_owned(),
            })?),
            None => None,
        };
        let domain = node.property("domain").map(str::to_owned);
        if addr.is_none() && domain.is_none() {
            return Err(DnsError::EmptyForwarder);
        }
        Ok(Self { domain, addr })
    }
}
