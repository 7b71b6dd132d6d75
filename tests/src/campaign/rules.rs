//! Shows or loads the firewall rules of a few kinds of networks, every shape of rule among them.
//!
//! `text`, `json` and `words` print them, a network at a time, in the language of `nft(8)`, as
//! documents for `nft -j -f -`, or as the words of the saved removal. `load` and `remove` change the
//! network namespace it runs in, `verify` prints for each network whether its rules are complete.

use std::error::Error;

use oxivirt_network::plan::nftables::{self, Outside, Subnet, Traffic};
use oxivirt_nft::kernel::{DeleteTableIf, Load, Nftables};
use oxivirt_nft::{PortRange, Removal, json, text};
use oxivirt_types::link_name::LinkName;

fn networks() -> Result<Vec<Traffic>, Box<dyn Error>> {
    let ports = PortRange { start: 1024, end: 65535 };
    let masquerade = |layer| Outside::Translated { addresses: None, ports, layer };
    let snat = Outside::Translated {
        addresses: Some(("198.51.100.1".parse()?, "198.51.100.9".parse()?)),
        ports,
        layer: 0,
    };
    let kinds = [
        (
            "virbr0",
            None,
            true,
            vec![("192.168.122.0/24", masquerade(0)), ("fd01::/64", masquerade(0))],
        ),
        (
            "virbr1",
            None,
            true,
            vec![("192.168.123.0/24", Outside::Routed), ("fd02::/64", Outside::Routed)],
        ),
        ("virbr2", None, true, vec![("192.168.124.0/24", Outside::None)]),
        ("virbr3", Some("ext1"), false, vec![("192.168.125.0/24", masquerade(0))]),
        ("br-snat", Some("ext1"), false, vec![("10.9.4.0/22", snat)]),
        (
            "overlap",
            None,
            false,
            vec![("192.168.0.0/16", masquerade(1)), ("10.200.0.1/32", masquerade(0))],
        ),
    ];
    let mut networks = Vec::new();
    for (number, (bridge, uplink, regulates_ipv6, nets)) in (1_u128..).zip(kinds) {
        let subnets =
            nets.into_iter().map(|(net, outside)| Ok(Subnet { net: net.parse()?, outside }));
        networks.push(Traffic {
            uuid: uuid::Uuid::from_u128(number),
            bridge: LinkName::new(bridge)?,
            uplink: uplink.map(LinkName::new).transpose()?,
            regulates_ipv6,
            subnets: subnets.collect::<Result<_, Box<dyn Error>>>()?,
        });
    }
    Ok(networks)
}

pub(super) fn run(words: &[String]) -> crate::Result<bool> {
    let what = words.first().map_or("text", String::as_str);
    show_or_change(what).map_err(|error| crate::Error::Wrong(error.to_string()))?;
    Ok(true)
}

#[tokio::main]
async fn show_or_change(what: &str) -> Result<(), Box<dyn Error>> {
    let networks = networks()?;
    let nft = match what {
        "load" | "remove" | "verify" => Some(Nftables::open()?),
        _ => None,
    };
    for network in &networks {
        let transaction = nftables::load(network);
        match (what, &nft) {
            ("load", Some(nft)) => nft.apply(Load { transaction, ..Load::default() }).await?,
            ("remove", Some(nft)) => nft.remove(Removal::of(&transaction)).await?,
            ("verify", Some(nft)) => {
                let state = nft.observe(nftables::TABLE).await?;
                let holds = state.is_some_and(|state| state.holds(&transaction));
                println!("{} {}", network.bridge, if holds { "complete" } else { "damaged" });
            }
            ("json", _) => println!("{}", json::document(&transaction)?),
            ("words", _) => println!("{}", Removal::of(&transaction).words().join(" ")),
            _ => print!("{}", text::script(&transaction)),
        }
    }
    if let ("remove", Some(nft)) = (what, &nft) {
        let (table, is_shared) =
            (nftables::TABLE.to_owned(), nftables::is_shared_chain as fn(&str) -> bool);
        nft.delete_table_if(DeleteTableIf { table, is_shared }).await?;
    }
    Ok(())
}
