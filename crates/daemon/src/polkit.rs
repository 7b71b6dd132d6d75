//! Asks polkit what a process may do.
//!
//! polkit(8), org.freedesktop.PolicyKit1.Authority; libvirt 11.3.0: src/util/virpolkit.c

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use oxivirt::{Error, ErrorCode, ErrorDomain, Result};
use oxivirt_remote::serve::{Authority, Interaction};
use oxivirt_rpc::identity::Process;
use zbus::zvariant::Value;

const SERVICE: &str = "org.freedesktop.PolicyKit1";
const PATH: &str = "/org/freedesktop/PolicyKit1/Authority";
const INTERFACE: &str = "org.freedesktop.PolicyKit1.Authority";

/// Long enough for a user to type a password.
const DEADLINE: Duration = Duration::from_secs(300);

/// polkit on the system bus; a connection is made for each question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Polkit;

/// Answer of polkit: allowed, a user would have to authenticate, details.
type Verdict = (bool, bool, HashMap<String, String>);

#[async_trait]
impl Authority for Polkit {
    async fn check(
        &self,
        subject: Process,
        action: &str,
        details: &[(&str, String)],
        interaction: Interaction,
    ) -> Result<()> {
        let asked = ask(subject, action, details, interaction);
        let verdict = tokio::time::timeout(DEADLINE, asked).await.map_err(|_| {
            Error::new(ErrorCode::AUTH_FAILED, ErrorDomain::POLKIT, "polkit does not answer")
        })?;
        decide(verdict?, action)
    }
}

fn bus(what: &str, error: &zbus::Error) -> Error {
    Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::DBUS, format!("{what}: {error}"))
}

async fn ask(
    subject: Process,
    action: &str,
    details: &[(&str, String)],
    interaction: Interaction,
) -> Result<Verdict> {
    let connection = zbus::Connection::system()
        .await
        .map_err(|error| bus("Unable to get system bus connection", &error))?;
    let pid = u32::try_from(subject.pid).unwrap_or_default();
    let uid = i32::try_from(subject.uid).unwrap_or(-1);
    let subject = HashMap::from([
        ("pid", Value::from(pid)),
        ("start-time", Value::from(subject.start_time)),
        ("uid", Value::from(uid)),
    ]);
    let details: HashMap<&str, &str> =
        details.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let flags = u32::from(interaction == Interaction::Allowed);
    let body = (("unix-process", subject), action, details, flags, "");
    let answer = connection
        .call_method(Some(SERVICE), PATH, Some(INTERFACE), "CheckAuthorization", &body)
        .await
        .map_err(|error| bus("cannot ask polkit", &error))?;
    answer.body().deserialize().map_err(|error| bus("cannot read polkit's answer", &error))
}

/// libvirt's error for each answer.
fn decide((is_allowed, is_challenge, details): Verdict, action: &str) -> Result<()> {
    let error = |code, detail: String| Err(Error::new(code, ErrorDomain::POLKIT, detail));
    if is_allowed {
        Ok(())
    } else if details.contains_key("polkit.dismissed") {
        error(ErrorCode::AUTH_CANCELLED, "user cancelled authentication process".to_owned())
    } else if is_challenge {
        let detail = format!("no polkit agent available to authenticate action '{action}'");
        error(ErrorCode::AUTH_UNAVAILABLE, detail)
    } else {
        error(ErrorCode::AUTH_FAILED, "access denied by policy".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: (bool, bool), detail: Option<&str>, expect: Option<i32>) {
        let details = detail.map(|name| (name.to_owned(), String::new())).into_iter().collect();
        let decided = decide((answer.0, answer.1, details), "a.b");
        assert_eq!(decided.err().map(|error| error.code().0), expect);
    }

    #[test]
    fn verdicts() {
        check((true, false), None, None);
        check((false, false), None, Some(45));
        check((false, true), None, Some(94));
        check((false, false), Some("polkit.dismissed"), Some(79));
        let error = decide((false, true, HashMap::new()), "org.libvirt.unix.manage").unwrap_err();
        assert_eq!(
            error.message(),
            "authentication unavailable: no polkit agent available to authenticate action \
             'org.libvirt.unix.manage'"
        );
    }
}
