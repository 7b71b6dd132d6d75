//! `network.conf`: the driver's own settings.

use oxivirt_sys::keyfile::{KeyFile, KeyFileError};

use crate::error::{Classified, ErrorCode, ErrorDomain};
use crate::keyword::{Keyword, keywords};
use crate::status::FirewallBackend;

/// What an administrator set. Keys that are not known are left alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DriverConfig {
    /// How firewall rules are set; absent leaves the choice to the driver.
    pub firewall_backend: Option<FirewallBackend>,
    /// `restore_sysctl`: whether settings of the whole host that the driver changed, as IP forwarding, go
    /// back with the last network that needs them. Libvirt leaves them on and does not know the key.
    pub restore_sysctl: bool,
    /// What the driver does when another program removes parts of a running network. Not known to libvirt.
    pub heal: Heal,
    /// What is done about filters of other programs that drop guests' packets. Not known to libvirt.
    pub firewall_coexist: Coexist,
    /// Whether only the driver may change its nftables table while it runs. Not known to
    /// libvirt.
    pub firewall_table_owner: bool,
    /// Who gives addresses and names to networks whose metadata do not say it. Not known to libvirt.
    pub dhcp_server: DhcpServer,
}

keywords! {
    /// A server of addresses and names.
    #[derive(Default)]
    pub enum DhcpServer {
        /// dnsmasq, a process for each network.
        #[default]
        Dnsmasq = "dnsmasq",
        /// Our own service, for all networks that it can serve.
        Builtin = "builtin",
    }
}

keywords! {
    /// What is done about losses of running networks.
    #[derive(Default)]
    pub enum Heal {
        /// They are repaired.
        #[default]
        Repair = "repair",
        /// They are reported.
        Observe = "observe",
    }
}

keywords! {
    /// What is done about filters of other programs that drop the packets of networks.
    #[derive(Default)]
    pub enum Coexist {
        /// They are reported.
        #[default]
        Report = "report",
        /// Packets are accepted in the chains that Docker and ufw leave to the administrator.
        Insert = "insert",
    }
}

/// Why the driver must not start with these settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DriverConfigError {
    /// The file breaks the grammar, or a setting has the wrong type.
    #[error("{0}")]
    File(KeyFileError),
    /// A setting has none of the values that it can have.
    #[error("unrecognized {key} = '{value}' set in network driver config file {file}")]
    Word {
        /// The setting.
        key: &'static str,
        /// The file.
        file: String,
        /// The value given.
        value: String,
    },
}

impl Classified for DriverConfigError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::File(error) => ErrorCode(error.code()),
            Self::Word { .. } => ErrorCode::INTERNAL_ERROR,
        }
    }

    fn domain(&self) -> ErrorDomain {
        match self {
            Self::File(_) => ErrorDomain::CONF,
            Self::Word { .. } => ErrorDomain::NETWORK,
        }
    }

    fn detail(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl DriverConfig {
    /// Reads the file's text; `file` is what errors call it. A file that is not there has no text.
    ///
    /// # Errors
    /// [`DriverConfigError`]
    ///
    /// libvirt 11.3.0: `virNetworkLoadDriverConfig`, src/network/bridge_driver_conf.c
    pub fn parse(file: &str, text: &str) -> Result<Self, DriverConfigError> {
        let keys = KeyFile::parse(file, text).map_err(DriverConfigError::File)?;
        let is_on = |key: &str| {
            keys.boolean(key).map(Option::unwrap_or_default).map_err(DriverConfigError::File)
        };
        Ok(Self {
            firewall_backend: word(&keys, file, "firewall_backend")?,
            restore_sysctl: is_on("restore_sysctl")?,
            heal: word(&keys, file, "heal")?.unwrap_or_default(),
            firewall_coexist: word(&keys, file, "firewall_coexist")?.unwrap_or_default(),
            firewall_table_owner: is_on("firewall_table_owner")?,
            dhcp_server: word(&keys, file, "dhcp_server")?.unwrap_or_default(),
        })
    }
}

fn word<K: Keyword>(
    keys: &KeyFile,
    file: &str,
    key: &'static str,
) -> Result<Option<K>, DriverConfigError> {
    let Some(word) = keys.string(key).map_err(DriverConfigError::File)? else { return Ok(None) };
    let unknown = || DriverConfigError::Word { key, file: file.to_owned(), value: word.to_owned() };
    K::from_word(word).map(Some).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<Option<FirewallBackend>, (i32, &str)>) {
        let found = DriverConfig::parse("f", text);
        let found = found.map(|config| config.firewall_backend);
        let found = found.map_err(|error| (error.code().0, error.message()));
        assert_eq!(found, expect.map_err(|(code, text)| (code, text.to_owned())), "{text:?}");
    }

    #[test]
    fn settings_go_back_if_asked() {
        let restores = |text| DriverConfig::parse("f", text).unwrap().restore_sysctl;
        assert!(!restores(""));
        assert!(!restores("restore_sysctl = 0"));
        assert!(restores("restore_sysctl = 1"));
        let error = DriverConfig::parse("f", "restore_sysctl = 2").unwrap_err();
        let text = "internal error: f: value for 'restore_sysctl' parameter must be 0 or 1";
        assert_eq!(error.message(), text);
        assert!(DriverConfig::parse("f", "restore_sysctl = \"yes\"").is_err());
        let owns = |text| DriverConfig::parse("f", text).unwrap().firewall_table_owner;
        assert!(!owns(""));
        assert!(owns("firewall_table_owner = 1"));
    }

    #[test]
    fn settings() {
        let heal = |text| DriverConfig::parse("f", text).map(|config| config.heal);
        assert_eq!(heal(""), Ok(Heal::Repair));
        assert_eq!(heal("heal = 'observe'"), Ok(Heal::Observe));
        let error = heal("heal = 'no'").unwrap_err();
        assert_eq!((error.code().0, error.domain().0), (1, 19));
        let coexist = |text| DriverConfig::parse("f", text).map(|config| config.firewall_coexist);
        assert_eq!(coexist(""), Ok(Coexist::Report));
        assert_eq!(coexist("firewall_coexist = 'insert'"), Ok(Coexist::Insert));
        let error = coexist("firewall_coexist = 'no'").unwrap_err();
        assert_eq!((error.code().0, error.domain().0), (1, 19));
        let server = |text| DriverConfig::parse("f", text).map(|config| config.dhcp_server);
        assert_eq!(server(""), Ok(DhcpServer::Dnsmasq));
        assert_eq!(server("dhcp_server = 'builtin'"), Ok(DhcpServer::Builtin));
        assert!(server("dhcp_server = 'kea'").is_err());
        check("", Ok(None));
        check("firewall_backend = \"iptables\"", Ok(Some(FirewallBackend::Iptables)));
        check(
            "other = 3\nfirewall_backend = 'none'\nfirewall_backend = 'x'",
            Ok(Some(FirewallBackend::None)),
        );
        check(
            "firewall_backend = 'x'",
            Err((
                1,
                "internal error: unrecognized firewall_backend = 'x' set in network driver config file f",
            )),
        );
        check(
            "firewall_backend = 1",
            Err((1, "internal error: f: expected a string for 'firewall_backend' parameter")),
        );
        check(
            "firewall_backend",
            Err((33, "configuration file syntax error: f:1: expecting an assignment")),
        );
    }
}
