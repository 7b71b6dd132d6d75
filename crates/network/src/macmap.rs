//! The MAC map of a bridge: which guest brought which addresses (`BR.macs`).
//!
//! Owns the file's JSON form, byte for byte what libvirt writes. Guests are sorted by name, their
//! addresses stand in the order in which they came. A guest without addresses has no entry.
//!
//! libvirt 11.3.0: src/util/virmacmap.c
//!
//! ```
//! use oxivirt_network::macmap::MacMap;
//!
//! let mut map = MacMap::parse(b"[\n]\n")?;
//! map.add("guest", "52:54:00:ab:cd:ef".parse()?);
//! assert!(map.format().starts_with("[\n  {\n    \"domain\": \"guest\",\n    \"macs\": ["));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;

use serde_json::{Value, json};

use oxivirt_types::mac::MacAddr;

/// The largest file read, in bytes.
///
/// libvirt 11.3.0: `VIR_MAC_HOSTS_FILE_SIZE_MAX`, src/util/virmacmap.c
pub const MAX_SIZE: u64 = 32 * 1024 * 1024;

/// Addresses by guest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MacMap {
    domains: BTreeMap<String, Vec<String>>,
}

/// Why a file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MacMapError {
    /// Larger than [`MAX_SIZE`].
    #[error("MAC map is larger than {MAX_SIZE} bytes")]
    TooLarge,
    /// Not JSON.
    #[error("invalid json in MAC map")]
    Json(#[source] serde_json::Error),
    /// Not a list.
    #[error("MAC map is not an array")]
    NotAnArray,
    /// An entry without one of its keys, or with something else in it.
    #[error("missing {key} in entry {index} of MAC map")]
    Missing {
        /// The entry, from 0.
        index: usize,
        /// The key.
        key: &'static str,
    },
    /// A guest with two entries.
    #[error("duplicate domain '{domain}' in MAC map")]
    Duplicate {
        /// The guest.
        domain: String,
    },
}

impl MacMap {
    /// Reads a file; zero bytes are an empty map.
    ///
    /// # Errors
    /// [`MacMapError`]
    pub fn parse(content: &[u8]) -> Result<Self, MacMapError> {
        if u64::try_from(content.len()).is_ok_and(|length| length > MAX_SIZE) {
            return Err(MacMapError::TooLarge);
        }
        if content.is_empty() {
            return Ok(Self::default());
        }
        let value: Value = serde_json::from_slice(content).map_err(MacMapError::Json)?;
        let entries = value.as_array().ok_or(MacMapError::NotAnArray)?;
        let mut domains = BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let missing = |key| MacMapError::Missing { index, key };
            let domain = entry.get("domain").and_then(Value::as_str);
            let domain = domain.ok_or_else(|| missing("domain"))?.to_owned();
            let macs = entry.get("macs").and_then(Value::as_array);
            let macs = macs
                .ok_or_else(|| missing("macs"))?
                .iter()
                .map(|mac| mac.as_str().map(str::to_owned).ok_or_else(|| missing("macs")));
            let macs = macs.collect::<Result<Vec<_>, _>>()?;
            if domains.insert(domain.clone(), macs).is_some() {
                return Err(MacMapError::Duplicate { domain });
            }
        }
        Ok(Self { domains })
    }

    /// Writes the file.
    #[must_use]
    pub fn format(&self) -> String {
        let entries: Vec<Value> = self
            .domains
            .iter()
            .filter(|(_, macs)| !macs.is_empty())
            .map(|(domain, macs)| json!({ "domain": domain, "macs": macs }))
            .collect();
        // A tree of strings has nothing that could fail to be written.
        let mut text = serde_json::to_string_pretty(&entries).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Adds an address to a guest, unless it is there.
    pub fn add(&mut self, domain: &str, mac: MacAddr) {
        let mac = mac.to_string();
        let macs = self.domains.entry(domain.to_owned()).or_default();
        if !macs.contains(&mac) {
            macs.push(mac);
        }
    }

    /// Takes an address from a guest, and the guest out once it has none.
    pub fn remove(&mut self, domain: &str, mac: MacAddr) {
        let mac = mac.to_string();
        if let Some(macs) = self.domains.get_mut(domain) {
            macs.retain(|known| *known != mac);
            if macs.is_empty() {
                self.domains.remove(domain);
            }
        }
    }

    /// The addresses of a guest.
    #[must_use]
    pub fn macs(&self, domain: &str) -> &[String] {
        self.domains.get(domain).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "[\n  {\n    \"domain\": \"a\",\n    \"macs\": [\n      \"52:54:00:00:00:01\",\n      \
                       \"52:54:00:00:00:02\"\n    ]\n  },\n  {\n    \"domain\": \"b\",\n    \"macs\": \
                       [\n      \"52:54:00:00:00:03\"\n    ]\n  }\n]\n";

    fn mac(last: u8) -> MacAddr {
        MacAddr([0x52, 0x54, 0, 0, 0, last])
    }

    #[test]
    fn written_as_read() {
        let mut map = MacMap::default();
        map.add("b", mac(3));
        map.add("a", mac(1));
        map.add("a", mac(2));
        map.add("a", mac(1));
        assert_eq!(map.format(), ONE);
        assert_eq!(MacMap::parse(ONE.as_bytes()).unwrap(), map);
        map.remove("b", mac(3));
        map.remove("b", mac(3));
        assert_eq!(map.macs("b"), <[String; 0]>::default());
        map.remove("a", mac(1));
        assert_eq!(map.macs("a"), ["52:54:00:00:00:02"]);
        map.remove("a", mac(2));
        assert_eq!(map.format(), "[]\n");
    }

    #[test]
    fn refusals() {
        #[track_caller]
        fn check(text: &str, expect: &str) {
            assert_eq!(MacMap::parse(text.as_bytes()).unwrap_err().to_string(), expect);
        }
        check("{}", "MAC map is not an array");
        check("x", "invalid json in MAC map");
        check(&"[".repeat(100_000), "invalid json in MAC map");
        check("[{}]", "missing domain in entry 0 of MAC map");
        check(
            "[{\"domain\": \"a\", \"macs\": []}, {\"domain\": \"b\"}]",
            "missing macs in entry 1 of MAC map",
        );
        check("[{\"domain\": \"a\", \"macs\": [1]}]", "missing macs in entry 0 of MAC map");
        check(
            "[{\"domain\": \"a\", \"macs\": []}, {\"domain\": \"a\", \"macs\": []}]",
            "duplicate domain 'a' in MAC map",
        );
        assert!(MacMap::parse(b"").is_ok());
        assert!(MacMap::parse(b"[\n]\n").is_ok());
    }
}
