//! `<serial>`, `<parallel>`, `<console>`, `<channel>`, `<smartcard>`, `<redirdev>`: character devices.

use super::super::address::DeviceInfo;
use super::super::security::DeviceSeclabel;
use crate::element::elements;
use crate::keyword::{OnOff, YesNo, words};

words! {
    /// What is at the host's end of a character device.
    pub enum CharType {
        Null = "null",
        Vc = "vc",
        Pty = "pty",
        Dev = "dev",
        File = "file",
        Pipe = "pipe",
        Stdio = "stdio",
        Udp = "udp",
        Tcp = "tcp",
        Unix = "unix",
        SpiceVmc = "spicevmc",
        SpicePort = "spiceport",
        Nmdm = "nmdm",
        QemuVdagent = "qemu-vdagent",
        Dbus = "dbus",
    }

    /// Whether a socket is listened on or connected to.
    pub enum SocketMode {
        Bind = "bind",
        Connect = "connect",
    }

    /// What is spoken on a TCP connection.
    pub enum CharProtocolType {
        Raw = "raw",
        Telnet = "telnet",
        Telnets = "telnets",
        Tls = "tls",
    }

    /// Whether the guest has a channel open.
    pub enum ChannelState {
        Connected = "connected",
        Disconnected = "disconnected",
    }

    /// Where a smartcard comes from.
    pub enum SmartcardMode {
        Host = "host",
        HostCertificates = "host-certificates",
        Passthrough = "passthrough",
    }
}

elements! {
    /// `<source>` of a character device
    pub struct CharSource {
        attr kind: Option<String> = "type",
        attr channel: Option<String> = "channel",
        attr master: Option<String> = "master",
        attr slave: Option<String> = "slave",
        attr mode: Option<SocketMode> = "mode",
        attr host: Option<String> = "host",
        attr path: Option<String> = "path",
        attr append: Option<OnOff> = "append",
        attr service: Option<String> = "service",
        attr tls: Option<YesNo> = "tls",
        attr tls_from_config: Option<u32> = "tlsFromConfig",
        child clipboard: Option<CharClipboard> = "clipboard",
        child mouse: Option<CharMouse> = "mouse",
        child reconnect: Option<Reconnect> = "reconnect",
        list seclabels: Vec<DeviceSeclabel> = "seclabel",
    }

    /// Whether text is copied and pasted.
    pub struct CharClipboard {
        attr copypaste: Option<YesNo> = "copypaste",
    }

    /// Whose mouse pointer is used.
    pub struct CharMouse {
        attr mode: Option<String> = "mode",
    }

    /// Whether a lost connection is made again.
    pub struct Reconnect {
        attr enabled: Option<YesNo> = "enabled",
        attr timeout: Option<u32> = "timeout",
    }

    /// `<protocol>`
    pub struct CharProtocol {
        attr kind: Option<CharProtocolType> = "type",
    }

    /// A file that output is copied to.
    pub struct CharLog {
        attr file: Option<String> = "file",
        attr append: Option<OnOff> = "append",
    }

    /// `<serial>`, `<parallel>`, `<console>` or `<channel>`
    pub struct CharDevice {
        attr kind: Option<CharType> = "type",
        attr tty: Option<String> = "tty",
        list sources: Vec<CharSource> = "source",
        child protocol: Option<CharProtocol> = "protocol",
        child log: Option<CharLog> = "log",
        child target: Option<CharTarget> = "target",
        flatten info: DeviceInfo = "(the same element)",
    }

    /// The guest's end.
    pub struct CharTarget {
        attr kind: Option<String> = "type",
        attr address: Option<String> = "address",
        attr name: Option<String> = "name",
        attr port: Option<u32> = "port",
        attr state: Option<ChannelState> = "state",
        child model: Option<CharTargetModel> = "model",
    }

    /// The device of a serial port.
    pub struct CharTargetModel {
        attr name: Option<String> = "name",
    }

    /// `<smartcard>`
    pub struct Smartcard {
        attr mode: Option<SmartcardMode> = "mode",
        attr kind: Option<CharType> = "type",
        texts certificates: Vec<String> = "certificate",
        text database: Option<String> = "database",
        list sources: Vec<CharSource> = "source",
        child protocol: Option<CharProtocol> = "protocol",
        flatten info: DeviceInfo = "(the same element)",
    }

    /// `<redirdev>`: a USB device of the client's.
    pub struct Redirdev {
        attr bus: Option<String> = "bus",
        attr kind: Option<CharType> = "type",
        list sources: Vec<CharSource> = "source",
        child protocol: Option<CharProtocol> = "protocol",
        flatten info: DeviceInfo = "(the same element)",
    }

    /// `<redirfilter>`
    pub struct RedirFilter {
        list devices: Vec<RedirFilterDevice> = "usbdev",
    }

    /// A rule of the filter.
    pub struct RedirFilterDevice {
        attr class: Option<String> = "class",
        attr vendor: Option<String> = "vendor",
        attr product: Option<String> = "product",
        attr version: Option<String> = "version",
        attr allow: Option<YesNo> = "allow",
    }
}
