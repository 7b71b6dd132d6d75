//! firewalld, if this build knows it.

#[cfg(feature = "firewalld")]
pub(super) use known::Firewalld;
#[cfg(not(feature = "firewalld"))]
pub(super) use unknown::Firewalld;

#[cfg(feature = "firewalld")]
mod known {
    use std::collections::BTreeMap;

    use oxivirt_util::chain;
    use oxivirt_util::firewalld::{self, FirewalldError};

    use crate::apply::HostError;
    use crate::plan::facts::Zones;

    /// The firewalld of this host.
    #[derive(Debug, Default)]
    pub(in crate::apply) struct Firewalld(firewalld::Firewalld);

    impl Firewalld {
        /// What it knows; `None` if it does not run.
        pub(in crate::apply) async fn zones(&self) -> Result<Option<Zones>, HostError> {
            let known = self.0.known().await.map_err(refusal)?;
            Ok(known.map(|known| Zones { zones: known.zones, policies: known.policies }))
        }

        /// Zones by the links in them; none if it does not run.
        pub(in crate::apply) async fn zones_of_links(
            &self,
        ) -> Result<BTreeMap<String, String>, HostError> {
            match self.0.is_active().await {
                true => self.0.zones_of_links().await.map_err(refusal),
                false => Ok(BTreeMap::new()),
            }
        }

        pub(in crate::apply) async fn join(&self, zone: &str, link: &str) -> Result<(), HostError> {
            self.0.join(zone, link).await.map_err(refusal)
        }

        /// Nothing depends on it: firewalld itself drops links that are gone when it is reloaded.
        pub(in crate::apply) async fn leave(&self, link: &str) {
            if self.0.is_active().await
                && let Err(error) = self.0.leave(link).await
            {
                tracing::debug!(link, error = chain::text(&error), "not in a zone");
            }
        }

        pub(in crate::apply) async fn on_reload(&self, told: impl Fn() + Send + Sync) {
            self.0.on_reload(told).await;
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

    use crate::apply::HostError;
    use crate::plan::facts::Zones;

    /// A host without firewalld, as far as this build knows.
    #[derive(Debug, Default)]
    pub(in crate::apply) struct Firewalld;

    impl Firewalld {
        pub(in crate::apply) async fn zones(&self) -> Result<Option<Zones>, HostError> {
            Ok(None)
        }

        pub(in crate::apply) async fn zones_of_links(
            &self,
        ) -> Result<BTreeMap<String, String>, HostError> {
            Ok(BTreeMap::new())
        }

        pub(in crate::apply) async fn join(&self, _: &str, _: &str) -> Result<(), HostError> {
            Ok(())
        }

        pub(in crate::apply) async fn leave(&self, _: &str) {}

        pub(in crate::apply) async fn on_reload(&self, _: impl Fn() + Send + Sync) {}
    }
}
