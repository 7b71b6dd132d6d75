//! Records of `<dns>`: `<txt>`, `<srv>`, `<host>`, whole and as an update names them.

use oxivirt_types::ip::Address;
use oxivirt_xml::{Element, Writer};

use super::dns::DnsError;
use crate::node::Node as _;
use crate::scalar::{Base, unsigned};

type Result<T, E = DnsError> = std::result::Result<T, E>;

/// A TXT record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TxtRecord {
    /// Name, without space and comma.
    pub name: String,
    /// Value, without line ends.
    pub value: String,
}

/// An SRV record. `port`, `priority` and `weight` mean nothing without `target`; 0 is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SrvRecord {
    /// Service without its underscore.
    pub service: String,
    /// Protocol without its underscore.
    pub protocol: String,
    /// Domain the record is in.
    pub domain: Option<String>,
    /// Host offering the service.
    pub target: Option<String>,
    /// Its port.
    pub port: u16,
    /// Its priority.
    pub priority: u16,
    /// Its weight among equals.
    pub weight: u16,
}

/// The names of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsHost {
    /// The address.
    pub ip: Address,
    /// Its names, at least one.
    pub hostnames: Vec<String>,
}

/// Longest service name, in bytes.
pub(super) const SERVICE_MAX: usize = 482;

/// A record as an update names it: whatever was not given matches anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsHostPattern {
    /// The address.
    pub ip: Option<Address>,
    /// Names.
    pub hostnames: Vec<String>,
}

impl DnsHost {
    pub(super) fn parse(node: &Element<'_>, network: &str) -> Result<Self> {
        let hostnames = parse_hostnames(node, network)?;
        let network = || network.to_owned();
        if hostnames.is_empty() {
            return Err(DnsError::NoHostname { network: network() });
        }
        let Some(text) = node.property("ip") else {
            return Err(DnsError::NoHostAddress { network: network() });
        };
        let ip = text.parse().map_err(|_| DnsError::HostAddress { network: network() })?;
        Ok(Self { ip, hostnames })
    }
}

impl DnsHostPattern {
    /// Reads what an update names; at least address or name.
    ///
    /// libvirt 11.3.0: `virNetworkDNSHostDefParseXML`, src/conf/network_conf.c
    pub(super) fn parse(node: &Element<'_>, network: &str) -> Result<Self> {
        let hostnames = parse_hostnames(node, network)?;
        let network = || network.to_owned();
        let ip = match node.property("ip") {
            Some(text) => {
                Some(text.parse().map_err(|_| DnsError::HostAddress { network: network() })?)
            }
            None if hostnames.is_empty() => {
                return Err(DnsError::EmptyHost { network: network() });
            }
            None => None,
        };
        Ok(Self { ip, hostnames })
    }
}

fn parse_hostnames(node: &Element<'_>, network: &str) -> Result<Vec<String>> {
    let hostnames = node.elements().filter(|child| child.name == "hostname");
    hostnames
        .map(|hostname| match hostname.text() {
            text if text.is_empty() => Err(DnsError::NoHostname { network: network.to_owned() }),
            text => Ok(text.into_owned()),
        })
        .collect()
}

/// A TXT record as an update names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TxtPattern {
    /// The name, which alone identifies a record.
    pub name: String,
    /// The value.
    pub value: Option<String>,
}

impl TxtPattern {
    /// libvirt 11.3.0: `virNetworkDNSTxtDefParseXML`, src/conf/network_conf.c
    pub(super) fn parse(node: &Element<'_>, network: &str) -> Result<Self> {
        let network = || network.to_owned();
        let Some(name) = node.property("name").map(str::to_owned) else {
            return Err(DnsError::NoTxtName { network: network() });
        };
        if name.contains([' ', ',']) {
            return Err(DnsError::TxtName { network: network(), name });
        }
        let value = node.property("value").map(str::to_owned);
        refuse_line_end(&network(), "name", Some(&name))?;
        refuse_line_end(&network(), "value", value.as_deref())?;
        Ok(Self { name, value })
    }
}

impl TxtRecord {
    pub(super) fn parse(node: &Element<'_>, network: &str) -> Result<Self> {
        let TxtPattern { name, value } = TxtPattern::parse(node, network)?;
        match value {
            Some(value) => Ok(Self { name, value }),
            None => Err(DnsError::NoTxtValue { network: network.to_owned(), name }),
        }
    }
}

/// An SRV record as an update names it: whatever was not given matches anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SrvPattern {
    /// The service.
    pub service: Option<String>,
    /// The protocol.
    pub protocol: Option<String>,
    /// The domain.
    pub domain: Option<String>,
    /// The target.
    pub target: Option<String>,
    /// The port; never compared.
    pub port: u16,
    /// The priority; never compared.
    pub priority: u16,
    /// The weight; never compared.
    pub weight: u16,
}

/// Whether a record has to name its service and protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Completeness {
    Full,
    Partial,
}

impl SrvRecord {
    pub(super) fn parse(node: &Element<'_>, network: &str) -> Result<Self> {
        let pattern = SrvPattern::parse(node, network, Completeness::Full)?;
        Ok(Self {
            service: pattern.service.unwrap_or_default(),
            protocol: pattern.protocol.unwrap_or_default(),
            domain: pattern.domain,
            target: pattern.target,
            port: pattern.port,
            priority: pattern.priority,
            weight: pattern.weight,
        })
    }

    pub(super) fn format(&self, out: &mut Writer) {
        let given = |value: u16| Some(value).filter(|&value| value != 0);
        out.begin("srv")
            .attr("service", &self.service)
            .attr("protocol", &self.protocol)
            .attr_opt("domain", self.domain.as_deref())
            .attr_opt("target", self.target.as_deref())
            .display_opt("port", given(self.port))
            .display_opt("priority", given(self.priority))
            .display_opt("weight", given(self.weight))
            .empty();
    }
}

impl SrvPattern {
    /// libvirt 11.3.0: `virNetworkDNSSrvDefParseXML`, src/conf/network_conf.c
    pub(super) fn parse(
        node: &Element<'_>,
        network: &str,
        completeness: Completeness,
    ) -> Result<Self> {
        let owned = |name| node.property(name).map(str::to_owned);
        let service = owned("service");
        let protocol = owned("protocol");
        check_service(service.as_deref(), network, completeness)?;
        let named = service.clone().unwrap_or_default();
        check_protocol(protocol.as_deref(), &named, network, completeness)?;
        let (domain, target) = (owned("domain"), owned("target"));
        refuse_line_end(network, "domain", domain.as_deref())?;
        refuse_line_end(network, "target", target.as_deref())?;
        let number = |attribute: &'static str, least: u64| {
            let (network, service) = (network.to_owned(), named.clone());
            let Some(text) = node.string(attribute) else {
                return Ok(0);
            };
            let Some(value) = unsigned(text, Base::Ten).filter(|&value| value <= u32::MAX.into())
            else {
                return Err(DnsError::Number { network, service, attribute });
            };
            if target.is_none() {
                return Err(DnsError::NoTarget { network, service, attribute });
            }
            match u16::try_from(value) {
                Ok(number) if value >= least => Ok(number),
                _ => Err(DnsError::Number { network, service, attribute }),
            }
        };
        let (port, priority, weight) =
            (number("port", 1)?, number("priority", 0)?, number("weight", 0)?);
        Ok(Self { service, protocol, domain, target, port, priority, weight })
    }
}

fn check_service(service: Option<&str>, network: &str, completeness: Completeness) -> Result<()> {
    let network = network.to_owned();
    match service {
        None if completeness == Completeness::Full => Err(DnsError::NoService { network }),
        Some(service) if service.len() > SERVICE_MAX => {
            Err(DnsError::ServiceTooLong { network, service: service.to_owned() })
        }
        Some(service) if !service.bytes().all(is_service) => {
            Err(DnsError::Service { network, service: service.to_owned() })
        }
        _ => Ok(()),
    }
}

fn check_protocol(
    protocol: Option<&str>,
    service: &str,
    network: &str,
    completeness: Completeness,
) -> Result<()> {
    let network = network.to_owned();
    match protocol {
        None if completeness == Completeness::Full => {
            Err(DnsError::NoProtocol { network, service: service.to_owned() })
        }
        Some(protocol) if !protocol.bytes().all(is_protocol) => {
            Err(DnsError::Protocol { network, protocol: protocol.to_owned() })
        }
        _ => Ok(()),
    }
}

fn refuse_line_end(network: &str, attribute: &'static str, text: Option<&str>) -> Result<()> {
    if text.is_some_and(|text| text.contains(['\r', '\n'])) {
        return Err(DnsError::LineEnd { network: network.to_owned(), attribute });
    }
    Ok(())
}

const fn is_service(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'/' | b'*')
}

const fn is_protocol(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'/')
}
