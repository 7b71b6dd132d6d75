//! Display, keyboard, VNC.

use serde::{Deserialize, Serialize};

use super::{Empty, Secret, commands};

commands! {
    /// Writes what a display shows to a file.
    Screendump = "screendump" -> Empty {
        /// The file, as QEMU sees it.
        filename: String,
        /// Id of the device; the first one if absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        device: Option<String>,
        /// Output of the device.
        #[serde(skip_serializing_if = "Option::is_none")]
        head: Option<u32>,
        /// `ppm`, QEMU's choice if absent, or `png` (since 7.1).
        #[serde(skip_serializing_if = "Option::is_none")]
        format: Option<String>,
    }

    /// Presses keys together and releases them.
    SendKey = "send-key" -> Empty {
        /// The keys.
        keys: Vec<Key>,
        /// Milliseconds between pressing and releasing; 100 if absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        hold_time: Option<u32>,
    }

    /// Sets the password of a display. libvirt passes it for `<graphics passwd='…'>`.
    SetPassword = "set_password" -> Empty {
        /// `vnc` or `spice`.
        protocol: String,
        /// The password.
        password: Secret,
        /// What to do with connected clients: `keep`, `fail` or `disconnect`.
        #[serde(skip_serializing_if = "Option::is_none")]
        connected: Option<String>,
    }

    /// Sets until when the password of a display is valid.
    ExpirePassword = "expire_password" -> Empty {
        /// `vnc` or `spice`.
        protocol: String,
        /// `now`, `never`, `+SECONDS`, or seconds since 1970.
        time: String,
    }

    /// The VNC server. QEMU answers for the first display only.
    QueryVnc = "query-vnc" -> VncInfo {}

    /// Hands a connected client, whose descriptor [`Getfd`](super::Getfd) named, to a display.
    AddClient = "add_client" -> Empty {
        /// `vnc`, `spice`, or the id of a character device.
        protocol: String,
        /// Name of the descriptor.
        fdname: String,
        /// The client need not authenticate.
        #[serde(skip_serializing_if = "Option::is_none")]
        skipauth: Option<bool>,
        /// The client speaks TLS.
        #[serde(skip_serializing_if = "Option::is_none")]
        tls: Option<bool>,
    }
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "data", rename_all = "lowercase")]
pub enum Key {
    /// Scan code: XT set 1, with 0x80 for the extended ones.
    Number(u32),
    /// QEMU's name of it.
    Qcode(String),
}

/// Reply to [`QueryVnc`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct VncInfo {
    /// There is a server.
    pub enabled: bool,
    /// Address that it listens on.
    pub host: Option<String>,
    /// Port or path that it listens on.
    pub service: Option<String>,
    /// `ipv4`, `ipv6`, `unix` or `unknown`.
    pub family: Option<String>,
    /// How clients authenticate, such as `none`.
    pub auth: Option<String>,
    /// Connected clients.
    #[serde(default)]
    pub clients: Vec<VncClient>,
}

/// A client of the VNC server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct VncClient {
    /// Its address.
    pub host: String,
    /// Its port.
    pub service: String,
    /// `ipv4`, `ipv6`, `unix` or `unknown`.
    pub family: String,
    /// It came over a web socket.
    #[serde(default)]
    pub websocket: bool,
    /// Name in its certificate.
    pub x509_dname: Option<String>,
    /// Name that it authenticated with.
    pub sasl_username: Option<String>,
}
