//! The objects of a connection.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use oxivirt::{
    Activity, Autostart, Callbacks, DomainEvent, Error, ErrorCode, ErrorDomain, Lifetime,
    NetworkEvent, NetworkRef, NetworkState, Result, StorageEvent, Uuid,
};
use oxivirt_conf::network::NetworkDef;
use oxivirt_sys::file;
use oxivirt_xml::{self as xml, Blanks};

use crate::domain::Domains;
use crate::storage::{Pools, default_pools};

/// Larger files are refused, as everywhere.
const LIMIT: u64 = 10 << 20;

/// The network that `test:///default` begins with.
const DEFAULT_NETWORK: &str = "<network><name>default</name>\
    <uuid>dd8fe884-6c02-601e-7551-cca97df1c5df</uuid><forward mode='nat'/><bridge name='virbr0'/>\
    <ip address='192.168.122.1' netmask='255.255.255.0'><dhcp>\
    <range start='192.168.122.2' end='192.168.122.254'/></dhcp></ip></network>";

/// A network.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) def: NetworkDef,
    /// A definition given while the network runs; it never becomes visible.
    pub(crate) kept_aside: Option<NetworkDef>,
    pub(crate) activity: Activity,
    pub(crate) lifetime: Lifetime,
    pub(crate) autostart: Autostart,
}

impl Network {
    pub(crate) fn new(def: NetworkDef, activity: Activity, lifetime: Lifetime) -> Self {
        Self { def, kept_aside: None, activity, lifetime, autostart: Autostart::Disabled }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.activity == Activity::Active
    }

    pub(crate) fn state(&self) -> NetworkState {
        NetworkState { activity: self.activity, lifetime: self.lifetime, autostart: self.autostart }
    }

    pub(crate) fn reference(&self) -> NetworkRef {
        NetworkRef { name: self.def.name.clone(), uuid: self.def.uuid.unwrap_or_default() }
    }
}

/// Domains, networks and pools by UUID, and the registrations for their events.
#[derive(Debug, Default)]
pub(crate) struct State {
    domains: Mutex<Domains>,
    pub(crate) domain_callbacks: Callbacks<DomainEvent>,
    networks: Mutex<BTreeMap<Uuid, Network>>,
    pub(crate) callbacks: Callbacks<NetworkEvent>,
    pools: Mutex<Pools>,
    pub(crate) storage_callbacks: Callbacks<StorageEvent>,
}

impl State {
    /// The state that `test:///default` begins with.
    pub(crate) fn with_default() -> Self {
        let state = Self {
            domains: Mutex::new(Domains::with_default()),
            pools: Mutex::new(default_pools()),
            ..Self::default()
        };
        // the document is a constant; a test checks that it parses
        if let Ok(def) = NetworkDef::parse(DEFAULT_NETWORK) {
            state.insert(Network::new(def, Activity::Active, Lifetime::Persistent));
        }
        state
    }

    /// A state that begins with the networks of a `<node>` document, all of them active.
    ///
    /// # Errors
    /// [`ErrorCode::SYSTEM_ERROR`] if a file cannot be read, else the error of its content.
    pub(crate) fn from_file(path: &Path) -> Result<Self> {
        let text = read(path)?;
        let root = xml::parse(&text, Blanks::Drop)
            .map_err(|error| Error::classified(&oxivirt_conf::ParseError::from(error)))?;
        if root.name != "node" {
            let detail = "Root element is not 'node'";
            return Err(Error::new(ErrorCode::XML_ERROR, ErrorDomain::TEST, detail));
        }
        let state = Self::default();
        for element in root.elements().filter(|element| element.name == "network") {
            let text = match element.attribute("file") {
                Some(file) => read(&path.parent().unwrap_or(path).join(file))?,
                None => xml::dump(element, 0),
            };
            let mut def = NetworkDef::parse(&text).map_err(|error| Error::classified(&error))?;
            def.uuid.get_or_insert_with(Uuid::new_v4);
            state.insert(Network::new(def, Activity::Active, Lifetime::Persistent));
        }
        Ok(state)
    }

    fn insert(&self, network: Network) {
        let uuid = network.reference().uuid;
        self.lock().insert(uuid, network);
    }

    /// All domains.
    pub(crate) fn domains(&self) -> MutexGuard<'_, Domains> {
        self.domains.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All pools by UUID.
    pub(crate) fn pools(&self) -> MutexGuard<'_, Pools> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All networks by UUID.
    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<Uuid, Network>> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> Result<String> {
    let open = |reason: &str| {
        let message = format!("Failed to open file '{}': {reason}", path.display());
        Error::plain(ErrorCode::SYSTEM_ERROR, ErrorDomain::NONE, message)
    };
    let content = file::read(path, LIMIT).map_err(|error| open(&error.to_string()))?;
    let content = content.ok_or_else(|| open("No such file or directory"))?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}
