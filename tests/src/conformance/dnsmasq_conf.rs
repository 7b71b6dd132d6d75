//! Suite `dnsmasq-conf`.

use oxivirt_conf::network::NetworkDef;
use oxivirt_network::Network;
use oxivirt_network::plan::dnsmasq::{DnsmasqError, Paths, texts};
use uuid::Uuid;

use super::cases::{CasesFile, Compared, Refused, Row, RowResult};

/// `VIR_FROM_NETWORK`: the driver reports what its planner refuses under its own domain.
const DRIVER_DOMAIN: i32 = 19;

impl From<DnsmasqError> for Refused {
    fn from(error: DnsmasqError) -> Self {
        let code = error.code().0;
        Self { code, domain: DRIVER_DOMAIN, message: error.to_string() }
    }
}

pub(super) fn run(file: &CasesFile, row: &Row) -> RowResult {
    let def = NetworkDef::parse(&file.text(row.input.as_ref())?)?;
    let network = Network::new(def, Uuid::nil);
    let pid_file = Some(file.assumptions.pid_file.as_str()).filter(|path| !path.is_empty());
    let found = texts(&network, Paths { state_dir: &file.assumptions.state_dir, pid_file })?;
    let hosts = file.text_or_empty(row.hostsfile.as_ref())?;
    let addn_hosts = file.text_or_empty(row.addnhosts.as_ref())?;
    Ok(vec![
        Compared { what: "conf", found: found.conf, expected: file.text(row.conf.as_ref())? },
        Compared { what: "hostsfile", found: found.hosts, expected: hosts },
        Compared { what: "addnhosts", found: found.addn_hosts, expected: addn_hosts },
    ])
}
