//! How long documents take to read and write.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use oxivirt_conf::network::{Counters, Form, NetworkDef};
use oxivirt_conf::status::NetworkStatus;

/// The network that is shipped with an installation.
const DEFAULT: &str = "<network>
  <name>default</name>
  <uuid>d1f9a3c0-9b5e-4c0e-8a70-6f6d4f1c2b3a</uuid>
  <forward mode='nat'/>
  <bridge name='virbr0' stp='on' delay='0'/>
  <mac address='52:54:00:c5:e1:70'/>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp>
      <range start='192.168.122.2' end='192.168.122.254'/>
    </dhcp>
  </ip>
</network>
";

fn with_hosts(count: u32) -> String {
    let hosts: String = (0..count)
        .map(|n| {
            let (high, low) = (n / 250, n % 250 + 2);
            format!(
                "      <host mac='52:54:00:00:{high:02x}:{low:02x}' name='guest-{n}' \
                 ip='10.7.{high}.{low}'/>\n"
            )
        })
        .collect();
    format!(
        "<network>\n  <name>big</name>\n  <forward mode='nat'/>\n  <ip address='10.7.0.1' \
         prefix='16'>\n    <dhcp>\n{hosts}    </dhcp>\n  </ip>\n</network>\n"
    )
}

fn with_removal() -> String {
    let actions: String = (1..=12)
        .map(|handle| {
            let words = format!("delete rule ip libvirt_network guest_nat handle {handle}");
            let items: String =
                words.split(' ').map(|word| format!("<item>{word}</item>\n")).collect();
            format!("<action layer='ipv4'><args>{items}</args></action>\n")
        })
        .collect();
    format!(
        "<networkstatus><class_id bitmap='0-2'/><floor sum='0'/>{DEFAULT}<firewall \
         name='fwRemoval' backend='nftables'><group ignoreErrors='yes'>{actions}</group>\
         </firewall></networkstatus>"
    )
}

fn bench_network(c: &mut Criterion, name: &str, text: &str) {
    c.bench_function(&format!("parse {name}"), |b| {
        b.iter(|| NetworkDef::parse(black_box(text)));
    });
    if let Ok(def) = NetworkDef::parse(text) {
        c.bench_function(&format!("format {name}"), |b| {
            b.iter(|| black_box(&def).format(Form::Inactive));
        });
    }
}

fn documents(c: &mut Criterion) {
    bench_network(c, "default network", DEFAULT);
    bench_network(c, "network of 1,000 hosts", &with_hosts(1000));
    let status = with_removal();
    c.bench_function("parse status", |b| b.iter(|| NetworkStatus::parse(black_box(&status))));
    if let Ok(status) = NetworkStatus::parse(&status) {
        c.bench_function("format status", |b| {
            b.iter(|| black_box(&status).format(Counters::NONE));
        });
    }
}

criterion_group!(benches, documents);
criterion_main!(benches);
