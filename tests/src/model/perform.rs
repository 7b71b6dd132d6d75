//! Calls and observations, made of the driver's own calls.

use oxivirt::{
    Autostart, CreateFlags, DefineFlags, Error, ListFlags, MetadataChange, MetadataType,
    NetworkDriver, NetworkRef, PortCreateFlags, PortRef, Result, TypedParam, TypedValue, Update,
    UpdateCommand, UpdateFlags, UpdateSection, XmlFlags,
};
use oxivirt_conf::network::{ForwardMode, NetworkDef};
use oxivirt_conf::port::NetworkPortDef;
use uuid::Uuid;

use super::world::LIMIT;
use super::{Answer, Call, Content, Impact, Kind, Net, World};

/// Name of a network.
pub fn name(network: u8) -> String {
    format!("net{network}")
}

/// Name of its bridge.
pub fn bridge(network: u8) -> String {
    format!("virbr{network}")
}

fn uuid(network: u8) -> Uuid {
    Uuid::from_u128(0x1000 + u128::from(network))
}

/// UUID of a port.
pub fn port_uuid(port: u8) -> Uuid {
    Uuid::from_u128(0x2000 + u128::from(port))
}

fn xml(network: u8, kind: Kind) -> String {
    let (name, uuid, bridge) = (name(network), uuid(network), bridge(network));
    let rest = match kind {
        Kind::Nat => format!(
            "<forward mode='nat'/><bridge name='{bridge}'/>\
             <bandwidth><inbound average='{LIMIT}'/></bandwidth>\
             <ip address='10.{network}.0.1' prefix='24'><dhcp>\
             <range start='10.{network}.0.2' end='10.{network}.0.9'/></dhcp></ip>"
        ),
        Kind::Route => format!(
            "<forward mode='route'/><bridge name='{bridge}'/><dns enable='no'/>\
             <ip address='10.{network}.1.1' prefix='24'/>\
             <ip family='ipv6' address='fd00:9{network}::1' prefix='64'/>\
             <route address='10.{network}.9.0' prefix='24' gateway='10.{network}.1.7'/>"
        ),
        Kind::Isolated => format!("<bridge name='{bridge}'/>"),
        Kind::Direct => "<forward mode='bridge'><interface dev='lo'/></forward>".to_owned(),
    };
    format!("<network><name>{name}</name><uuid>{uuid}</uuid>{rest}</network>")
}

fn flags(impact: Impact) -> UpdateFlags {
    match impact {
        Impact::Current => UpdateFlags::NONE,
        Impact::Live => UpdateFlags::LIVE,
        Impact::Config => UpdateFlags::CONFIG,
        Impact::Both => UpdateFlags::LIVE | UpdateFlags::CONFIG,
    }
}

/// Makes a call; its answer as the model knows it.
pub async fn call(driver: &dyn NetworkDriver, network: u8, call: &Call) -> Answer {
    perform(driver, network, call).await.map_err(|error| error.code().0)
}

async fn perform(driver: &dyn NetworkDriver, network: u8, call: &Call) -> Result<()> {
    let net = NetworkRef { name: name(network), uuid: uuid(network) };
    let port = |port| PortRef { network: net.clone(), uuid: port_uuid(port) };
    match call {
        Call::Define(kind) => {
            driver.network_define_xml(&xml(network, *kind), DefineFlags::NONE).await.map(drop)
        }
        Call::CreateXml(kind) => {
            driver.network_create_xml(&xml(network, *kind), CreateFlags::NONE).await.map(drop)
        }
        Call::Start => driver.network_create(&net).await,
        Call::Destroy => driver.network_destroy(&net).await,
        Call::Undefine => driver.network_undefine(&net).await,
        Call::AddHost(impact, host) => {
            let update = update(*impact, *host, UpdateCommand::AddLast);
            driver.network_update(&net, &update).await
        }
        Call::DeleteHost(impact, host) => {
            let update = update(*impact, *host, UpdateCommand::Delete);
            driver.network_update(&net, &update).await
        }
        Call::SetTitle(impact, title) => {
            let change = MetadataChange {
                kind: MetadataType::Title,
                metadata: (*title > 0).then(|| title.to_string()),
                key: None,
                uri: None,
                flags: flags(*impact),
            };
            driver.network_set_metadata(&net, &change).await
        }
        Call::SetAutostart(wanted) => {
            let autostart = if *wanted { Autostart::Enabled } else { Autostart::Disabled };
            driver.network_set_autostart(&net, autostart).await
        }
        Call::CreatePort(id, floor) => {
            let xml = port_xml(network, *id, *floor);
            driver.network_port_create_xml(&net, &xml, PortCreateFlags::NONE).await.map(drop)
        }
        Call::LimitPort(id, floor) => {
            let param = |field: &str, value| TypedParam {
                field: field.to_owned(),
                value: TypedValue::UInt(value),
            };
            let params = [param("inbound.floor", u32::from(*floor)), param("outbound.average", 1)];
            driver.network_port_set_parameters(&port(*id), &params, 0).await
        }
        Call::DeletePort(id) => driver.network_port_delete(&port(*id), 0).await,
    }
}

fn update(impact: Impact, host: u8, command: UpdateCommand) -> Update {
    Update {
        command,
        section: UpdateSection::DnsHost,
        parent_index: -1,
        xml: format!("<host ip='10.99.0.{host}'><hostname>h{host}</hostname></host>"),
        flags: flags(impact),
    }
}

/// Hardware address of a port.
pub fn mac(network: u8, port: u8) -> String {
    format!("52:54:00:00:{network:02x}:{port:02x}")
}

fn port_xml(network: u8, port: u8, floor: u16) -> String {
    let bandwidth = match floor {
        0 => String::new(),
        floor => format!("<bandwidth><inbound average='5' floor='{floor}'/></bandwidth>"),
    };
    format!(
        "<networkport><uuid>{}</uuid><owner><name>guest{port}</name><uuid>{}</uuid></owner>\
         <mac address='{}'/>{bandwidth}</networkport>",
        port_uuid(port),
        Uuid::from_u128(0x3000),
        mac(network, port)
    )
}

/// What the driver says there is.
///
/// # Errors
/// A question was refused, or an answer is none that the model knows.
pub async fn world(driver: &dyn NetworkDriver) -> Result<World> {
    let mut world = World::default();
    for reference in driver.list_all_networks(ListFlags::NONE).await? {
        let number = reference.name.strip_prefix("net").and_then(|text| text.parse().ok());
        let number = number.ok_or_else(|| strange(&reference.name))?;
        world.nets.insert(number, net(driver, &reference).await?);
    }
    Ok(world)
}

fn strange(what: &str) -> Error {
    Error::internal(format!("'{what}' is none of the model's"))
}

async fn net(driver: &dyn NetworkDriver, network: &NetworkRef) -> Result<Net> {
    let mut net = Net::default();
    if driver.network_is_active(network).await? {
        net.live = Some(content(&driver.network_xml_desc(network, XmlFlags::NONE).await?)?);
        for port in driver.network_list_all_ports(network, 0).await? {
            let xml = driver.network_port_xml_desc(&port, 0).await?;
            let def = NetworkPortDef::parse(&xml).map_err(|error| strange(&error.to_string()))?;
            let id = u8::try_from(port.uuid.as_u128() - 0x2000).map_err(|_| strange(&xml))?;
            let rate = def.bandwidth.and_then(|bandwidth| bandwidth.inbound);
            net.ports.insert(id, rate.map_or(0, |rate| rate.floor));
        }
    }
    if driver.network_is_persistent(network).await? {
        let xml = driver.network_xml_desc(network, XmlFlags::INACTIVE).await?;
        net.stored = Some(content(&xml)?);
        net.autostart = driver.network_autostart(network).await? == Autostart::Enabled;
    }
    Ok(net)
}

fn content(xml: &str) -> Result<Content> {
    let def = NetworkDef::parse(xml).map_err(|error| strange(&error.to_string()))?;
    let kind = match def.forward.mode {
        ForwardMode::Nat => Kind::Nat,
        ForwardMode::Route => Kind::Route,
        ForwardMode::None => Kind::Isolated,
        _ => Kind::Direct,
    };
    let title = def.title.and_then(|title| title.parse().ok()).unwrap_or(0);
    let host = |name: &String| name.strip_prefix('h')?.parse().ok();
    let hosts = def.dns.hosts.iter().flat_map(|host| &host.hostnames).filter_map(host).collect();
    Ok(Content { kind, hosts, title })
}
