//! A stand-in for polkit on the bus that the environment names.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use zbus::interface;
use zbus::zvariant::OwnedValue;

use crate::error::{Error, Result};

const NAME: &str = "org.freedesktop.PolicyKit1";
const PATH: &str = "/org/freedesktop/PolicyKit1/Authority";

struct Authority {
    allowed: Vec<String>,
    calls: File,
}

/// What is asked about, and who asks.
type Subject = (String, HashMap<String, OwnedValue>);
/// Allowed, would have to ask, details.
type Verdict = (bool, bool, HashMap<String, String>);

#[expect(clippy::needless_pass_by_value, reason = "as the bus delivers them")]
#[interface(name = "org.freedesktop.PolicyKit1.Authority")]
impl Authority {
    #[zbus(name = "CheckAuthorization")]
    fn check(
        &mut self,
        subject: Subject,
        action: String,
        details: HashMap<String, String>,
        flags: u32,
        _cancellation: String,
    ) -> zbus::fdo::Result<Verdict> {
        let network = details.get("network_name").map(String::as_str).unwrap_or_default();
        let has_all = ["pid", "start-time", "uid"].iter().all(|part| subject.1.contains_key(*part));
        let is_allowed = has_all
            && self.allowed.iter().any(|rule| match rule.split_once('=') {
                Some((allowed, of)) => allowed == action && of == network,
                None => *rule == action,
            });
        let word = if is_allowed { "yes" } else { "no" };
        writeln!(self.calls, "{action} '{network}' {flags} {word}")
            .map_err(|error| zbus::fdo::Error::Failed(error.to_string()))?;
        Ok((is_allowed, false, HashMap::new()))
    }
}

/// Serves until standard input ends. Allowed is each of `rules`: an action, or `ACTION=NETWORK`; what is
/// asked for goes to the file `calls`.
///
/// # Errors
/// There is no bus, or it has a polkit already.
pub async fn polkit(calls: &Path, rules: &[&str]) -> Result<()> {
    let allowed = rules.iter().map(|rule| (*rule).to_owned()).collect();
    let calls = File::create(calls).map_err(Error::file(calls))?;
    let wrong = |error: zbus::Error| Error::Wrong(format!("message bus: {error}"));
    let _connection = zbus::connection::Builder::system()
        .and_then(|builder| builder.name(NAME))
        .and_then(|builder| builder.serve_at(PATH, Authority { allowed, calls }))
        .map_err(wrong)?
        .build()
        .await
        .map_err(wrong)?;
    println!("ready");
    let end =
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    end.await.map(drop).map_err(|error| Error::Wrong(error.to_string()))
}
