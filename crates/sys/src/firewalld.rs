//! firewalld: which zone a bridge is in.
//!
//! firewalld.dbus(5); libvirt 11.3.0: src/util/virfirewalld.c

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::Mutex;
use zbus::message::Type;
use zbus::{Connection, MatchRule, MessageStream};

const SERVICE: &str = "org.fedoraproject.FirewallD1";
const PATH: &str = "/org/fedoraproject/FirewallD1";
const ZONE: &str = "org.fedoraproject.FirewallD1.zone";
const POLICY: &str = "org.fedoraproject.FirewallD1.policy";
const BUS: &str = "org.freedesktop.DBus";

/// How long a change may take: as long as D-Bus libraries wait for an answer.
const DEADLINE: Duration = Duration::from_secs(25);

/// Why firewalld did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FirewalldError {
    /// It refused; its name for the reason, and its words.
    #[error("{name}: {text}")]
    Refused {
        /// The error's name on the bus.
        name: String,
        /// In words.
        text: String,
    },
    /// There is no bus, or it was lost.
    #[error(transparent)]
    Bus(zbus::Error),
    /// It did not answer.
    #[error("firewalld did not answer within {0:?}")]
    Deadline(Duration),
}

/// Zones and policies of firewalld.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The names of its zones.
    pub zones: Vec<String>,
    /// The names of its policies; none before version 0.9.
    pub policies: Vec<String>,
}

type Result<T> = std::result::Result<T, FirewalldError>;
/// `a{sa{sas}}`: `interfaces` and `sources` by zone.
type ActiveZones = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// The firewalld of this host; connects when it is first asked, and again when the bus was lost.
#[derive(Debug, Default)]
pub struct Firewalld {
    connection: Mutex<Option<Connection>>,
}

impl Firewalld {
    /// What it knows; `None` if there is no system bus or no firewalld on it.
    ///
    /// # Errors
    /// [`FirewalldError`] if it runs but does not answer each of two calls within `timeout`.
    pub async fn known(&self, timeout: Duration) -> Result<Option<Known>> {
        if !self.is_active().await {
            return Ok(None);
        }
        let zones = self.call(timeout, ZONE, "getZones", &()).await?;
        let policies = match self.call(timeout, POLICY, "getPolicies", &()).await {
            Err(FirewalldError::Refused { .. }) => Vec::new(),
            other => other?,
        };
        Ok(Some(Known { zones, policies }))
    }

    /// Whether it runs.
    pub async fn is_active(&self) -> bool {
        let Ok(connection) = self.connection().await else { return false };
        let owned = connection.call_method(
            Some(BUS),
            "/org/freedesktop/DBus",
            Some(BUS),
            "NameHasOwner",
            &SERVICE,
        );
        match tokio::time::timeout(DEADLINE, owned).await {
            Ok(Ok(answer)) => answer.body().deserialize().unwrap_or(false),
            Ok(Err(_)) => {
                self.forget().await;
                false
            }
            Err(_) => false,
        }
    }

    /// Zones by the links in them.
    ///
    /// # Errors
    /// [`FirewalldError`]
    pub async fn zones_of_links(&self, timeout: Duration) -> Result<BTreeMap<String, String>> {
        let zones: ActiveZones = self.call(timeout, ZONE, "getActiveZones", &()).await?;
        let links = zones.into_iter().flat_map(|(zone, mut members)| {
            let links = members.remove("interfaces").unwrap_or_default();
            links.into_iter().map(move |link| (link, zone.clone()))
        });
        Ok(links.collect())
    }

    /// Puts a link into a zone, whichever it was in before.
    ///
    /// # Errors
    /// [`FirewalldError::Refused`] if there is no such zone.
    pub async fn join(&self, zone: &str, link: &str) -> Result<()> {
        self.call::<_, String>(DEADLINE, ZONE, "changeZoneOfInterface", &(zone, link))
            .await
            .map(drop)
    }

    /// Takes a link out of whatever zone it is in.
    ///
    /// # Errors
    /// [`FirewalldError::Refused`] if it is in none.
    pub async fn leave(&self, link: &str) -> Result<()> {
        self.call::<_, String>(DEADLINE, ZONE, "removeInterface", &("", link)).await.map(drop)
    }

    /// Calls `on_loss` whenever firewalld has lost its runtime configuration: after a reload or a
    /// restart. Returns when the bus connection ends, immediately if there is no bus.
    pub async fn on_reload(&self, on_loss: impl Fn() + Send + Sync) {
        let Ok(connection) = self.connection().await else { return };
        let Ok((reloads, owners)) = rules() else { return };
        let reloads = MessageStream::for_match_rule(reloads, &connection, None).await;
        let owners = MessageStream::for_match_rule(owners, &connection, None).await;
        let (Ok(reloads), Ok(owners)) = (reloads, owners) else { return };
        let owners = owners.filter(|message| {
            let body = message.as_ref().map(zbus::Message::body);
            let owner = body.map(|body| body.deserialize::<(String, String, String)>().ok());
            // Name, old owner, new owner.
            let is_new = matches!(owner, Ok(Some((_, _, new))) if !new.is_empty());
            std::future::ready(is_new)
        });
        let mut signals = futures::stream::select(reloads, owners);
        while signals.next().await.is_some() {
            on_loss();
        }
    }

    async fn connection(&self) -> Result<Connection> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = &*kept {
            return Ok(connection.clone());
        }
        let new = tokio::time::timeout(DEADLINE, Connection::system()).await;
        let new =
            new.map_err(|_| FirewalldError::Deadline(DEADLINE))?.map_err(FirewalldError::Bus)?;
        Ok(kept.insert(new).clone())
    }

    async fn forget(&self) {
        *self.connection.lock().await = None;
    }

    async fn call<B, T>(
        &self,
        deadline: Duration,
        interface: &str,
        method: &str,
        body: &B,
    ) -> Result<T>
    where
        B: zbus::export::serde::Serialize + zbus::zvariant::DynamicType + Sync,
        T: zbus::export::serde::de::DeserializeOwned + zbus::zvariant::Type,
    {
        let connection = self.connection().await?;
        let call = connection.call_method(Some(SERVICE), PATH, Some(interface), method, body);
        let answer = tokio::time::timeout(deadline, call).await;
        match answer.map_err(|_| FirewalldError::Deadline(deadline))? {
            Ok(answer) => answer.body().deserialize().map_err(FirewalldError::Bus),
            Err(zbus::Error::MethodError(name, text, _)) => {
                let text = text.unwrap_or_default();
                Err(FirewalldError::Refused { name: name.to_string(), text })
            }
            Err(error) => {
                self.forget().await;
                Err(FirewalldError::Bus(error))
            }
        }
    }
}

/// Matches the signal `Reloaded`, and a new owner of firewalld's name.
fn rules() -> zbus::Result<(MatchRule<'static>, MatchRule<'static>)> {
    let reloads = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(SERVICE)?
        .interface(SERVICE)?
        .member("Reloaded")?
        .build();
    let owners = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(BUS)?
        .interface(BUS)?
        .member("NameOwnerChanged")?
        .arg(0, SERVICE)?
        .build();
    Ok((reloads, owners))
}
