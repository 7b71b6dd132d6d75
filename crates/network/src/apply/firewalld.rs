//! firewalld, if this build knows it.

#[cfg(feature = "firewalld")]
pub(super) use known::Firewalld;
#[cfg(not(feature = "firewalld"))]
pub(super) use unknown::Firewalld;

#[cfg(feature = "firewalld")]
mod known {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use oxivirt_sys::chain;
    use oxivirt_sys::firewalld::{self, FirewalldError};

    use crate::apply::HostError;
    use crate::plan::facts::{self, RUNNING_TIMEOUT, Zones};

    /// The firewalld of this host.
    #[derive(Debug, Default)]
    pub(in crate::apply) struct Firewalld(firewalld::Firewalld);

    impl Firewalld {
        pub(in crate::apply) async fn says(&self, patience: Duration) -> facts::Firewalld {
            match self.0.known(patience).await {
                Ok(None) => facts::Firewalld::Absent,
                Ok(Some(known)) => {
                    let (zones, policies) = (known.zones, known.policies);
                    facts::Firewalld::Knows(Zones { zones, policies })
                }
                Err(error) => {
                    let reason = refusal(error).to_string();
                    tracing::warn!(
                        reason,
                        "cannot list the zones of firewalld: bridges join no zone"
                    );
                    facts::Firewalld::Unresponsive(reason)
                }
            }
        }

        /// Zones by the links in them; none if it does not run, `None` if it does not answer.
        pub(in crate::apply) async fn zones_of_links(&self) -> Option<BTreeMap<String, String>> {
            if !self.0.is_active().await {
                return Some(BTreeMap::new());
            }
            let zones = self.0.zones_of_links(RUNNING_TIMEOUT).await;
            zones
                .inspect_err(|error| {
                    tracing::warn!(
                        error = chain::text(error),
                        "cannot list the links in zones of firewalld: zones are not repaired"
                    );
                })
                .ok()
        }

        pub(in crate::apply) async fn join(&self, zone: &str, link: &str) -> Result<(), HostError> {
            self.0.join(zone, link).await.map_err(refusal)
        }

        /// Nothing depends on it: firewalld itself drops links that are gone when it is reloaded.
        pub(in crate::apply) async fn leave(&self, link: &str) {
            if self.0.is_active().await
                && let Err(error) = self.0.leave(link).await
            {
                tracing::debug!(
                    link,
                    error = chain::text(&error),
                    "cannot take link out of its firewalld zone"
                );
            }
        }

        pub(in crate::apply) async fn on_reload(&self, notify: impl Fn() + Send + Sync) {
            self.0.on_reload(notify).await;
        }
    }

    fn refusal(error: FirewalldError) -> HostError {
        match error {
            // As GDBus puts it, which is what people search for.
            FirewalldError::Refused { name, text } => {
                HostError::Firewalld { reason: format!("GDBus.Error:{name}: {text}") }
            }
            other => HostError::Firewalld { reason: chain::text(&other) },
        }
    }
}

#[cfg(not(feature = "firewalld"))]
mod unknown {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use crate::apply::HostError;
    use crate::plan::facts;

    /// A host without firewalld, as far as this build knows.
    #[derive(Debug, Default)]
    pub(in crate::apply) struct Firewalld;

    impl Firewalld {
        pub(in crate::apply) async fn says(&self, _: Duration) -> facts::Firewalld {
            facts::Firewalld::Absent
        }

        pub(in crate::apply) async fn zones_of_links(&self) -> Option<BTreeMap<String, String>> {
            Some(BTreeMap::new())
        }

        pub(in crate::apply) async fn join(&self, _: &str, _: &str) -> Result<(), HostError> {
            Ok(())
        }

        pub(in crate::apply) async fn leave(&self, _: &str) {}

        pub(in crate::apply) async fn on_reload(&self, _: impl Fn() + Send + Sync) {}
    }
}
