//! `<source>` of disks and what belongs to it: protocols, authentication, encryption.

use super::super::security::DeviceSeclabel;
use super::super::size::ByteSize;
use super::hostdev::HostAddress;
use crate::element::elements;
use crate::keyword::{YesNo, words};

words! {
    /// What a volume has to be used as.
    pub enum VolumeMode {
        Host = "host",
        Direct = "direct",
    }

    /// What to do when media are missing at start.
    pub enum StartupPolicy {
        Mandatory = "mandatory",
        Requisite = "requisite",
        Optional = "optional",
    }
}

elements! {
    /// `<source>` of a disk, all kinds together
    pub struct Source {
        attr kind: Option<String> = "type",
        attr path: Option<String> = "path",
        attr managed: Option<YesNo> = "managed",
        attr namespace: Option<u64> = "namespace",
        attr pool: Option<String> = "pool",
        attr volume: Option<String> = "volume",
        attr mode: Option<VolumeMode> = "mode",
        attr actual_type: Option<String> = "actualType",
        attr file: Option<String> = "file",
        attr fd_group: Option<String> = "fdgroup",
        attr dev: Option<String> = "dev",
        attr dir: Option<String> = "dir",
        attr protocol: Option<String> = "protocol",
        attr name: Option<String> = "name",
        attr query: Option<String> = "query",
        attr tls: Option<YesNo> = "tls",
        attr tls_from_config: Option<u32> = "tlsFromConfig",
        attr tls_hostname: Option<String> = "tlsHostname",
        attr startup_policy: Option<StartupPolicy> = "startupPolicy",
        attr index: Option<u32> = "index",
        list hosts: Vec<SourceHost> = "host",
        child snapshot: Option<SourceName> = "snapshot",
        child config: Option<SourceFile> = "config",
        child address: Option<HostAddress> = "address",
        child initiator: Option<Initiator> = "initiator",
        child known_hosts: Option<KnownHosts> = "knownHosts",
        child identity: Option<Identity> = "identity",
        child reconnect: Option<SourceReconnect> = "reconnect",
        child slices: Option<Slices> = "slices",
        child ssl: Option<Ssl> = "ssl",
        child cookies: Option<Cookies> = "cookies",
        list seclabels: Vec<DeviceSeclabel> = "seclabel",
        child auth: Option<Auth> = "auth",
        child encryption: Option<Encryption> = "encryption",
        child reservations: Option<Reservations> = "reservations",
        child readahead: Option<ReadAhead> = "readahead",
        child timeout: Option<SourceTimeout> = "timeout",
        child private_data: Option<SourcePrivate> = "privateData",
    }

    /// What the driver keeps of an image of a running guest; in status documents only.
    pub struct SourcePrivate {
        child nodenames: Option<BlockNodes> = "nodenames",
    }

    /// `<nodenames>`
    pub struct BlockNodes {
        list nodes: Vec<BlockNode> = "nodename",
    }

    /// A block node of the emulator.
    pub struct BlockNode {
        attr kind: Option<String> = "type",
        attr name: Option<String> = "name",
    }

    /// A server.
    pub struct SourceHost {
        attr name: Option<String> = "name",
        attr port: Option<String> = "port",
        attr transport: Option<String> = "transport",
        attr socket: Option<String> = "socket",
    }

    /// `<snapshot>`
    pub struct SourceName {
        attr name: Option<String> = "name",
    }

    /// `<config>`
    pub struct SourceFile {
        attr file: Option<String> = "file",
    }

    /// `<initiator>`
    pub struct Initiator {
        child iqn: Option<SourceName> = "iqn",
    }

    /// `<knownHosts>`
    pub struct KnownHosts {
        attr path: Option<String> = "path",
    }

    /// `<identity>`
    pub struct Identity {
        attr user: Option<String> = "user",
        attr group: Option<String> = "group",
        attr username: Option<String> = "username",
        attr keyfile: Option<String> = "keyfile",
        attr agent_socket: Option<String> = "agentsock",
    }

    /// `<reconnect>` of a disk: seconds between attempts.
    pub struct SourceReconnect {
        attr delay: Option<u32> = "delay",
    }

    /// Parts of an image.
    pub struct Slices {
        list slices: Vec<Slice> = "slice",
    }

    /// A part of an image.
    pub struct Slice {
        attr kind: Option<String> = "type",
        attr offset: Option<u64> = "offset",
        attr size: Option<u64> = "size",
    }

    /// `<ssl>`
    pub struct Ssl {
        attr verify: Option<YesNo> = "verify",
    }

    /// `<cookies>`
    pub struct Cookies {
        list cookies: Vec<Cookie> = "cookie",
    }

    /// `<cookie>`
    pub struct Cookie {
        attr name: Option<String> = "name",
        body value: Option<String> = "cookie",
    }

    /// `<reservations>`
    pub struct Reservations {
        attr managed: Option<YesNo> = "managed",
        attr migration: Option<YesNo> = "migration",
        child source: Option<ReservationSocket> = "source",
    }

    /// Socket of the helper that keeps reservations.
    pub struct ReservationSocket {
        attr kind: Option<String> = "type",
        attr path: Option<String> = "path",
        attr mode: Option<String> = "mode",
    }

    /// `<readahead>` in bytes
    pub struct ReadAhead {
        attr size: Option<u64> = "size",
    }

    /// `<timeout>`
    pub struct SourceTimeout {
        attr seconds: Option<u64> = "seconds",
    }

    /// `<auth>`
    pub struct Auth {
        attr kind: Option<String> = "type",
        attr username: Option<String> = "username",
        child secret: Option<SecretReference> = "secret",
    }

    /// Which secret.
    pub struct SecretReference {
        attr kind: Option<String> = "type",
        attr uuid: Option<String> = "uuid",
        attr usage: Option<String> = "usage",
    }

    /// `<encryption>`
    pub struct Encryption {
        attr format: Option<String> = "format",
        attr engine: Option<String> = "engine",
        list secrets: Vec<SecretReference> = "secret",
        child cipher: Option<EncryptionCipher> = "cipher",
        child ivgen: Option<EncryptionIvgen> = "ivgen",
    }

    /// `<cipher>`
    pub struct EncryptionCipher {
        attr name: Option<String> = "name",
        attr size: Option<u32> = "size",
        attr mode: Option<String> = "mode",
        attr hash: Option<String> = "hash",
    }

    /// `<ivgen>`
    pub struct EncryptionIvgen {
        attr name: Option<String> = "name",
        attr hash: Option<String> = "hash",
    }

    /// `<format>` of a backing image
    pub struct ImageFormat {
        attr kind: Option<String> = "type",
        child metadata_cache: Option<MetadataCache> = "metadata_cache",
    }

    /// Cache of an image's tables.
    pub struct MetadataCache {
        child max_size: Option<ByteSize> = "max_size",
    }
}
