//! URIs of connections: `driver[+transport]://[user@][host][:port]/path[?parameters]`.
//!
//! The general syntax is RFC 3986; the split of the scheme and of the query is libvirt's. The
//! original text is kept, since that is what a connection reports as its name.
//!
//! libvirt: `virURIParse`, src/util/viruri.c; <https://libvirt.org/uri.html>

use crate::{Error, ErrorCode, ErrorDomain, Result};
use std::{fmt, str::FromStr};

/// A parsed connection URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri {
    text: String,
    scheme: String,
    user: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    path: String,
    params: Vec<(String, String)>,
}

impl Uri {
    /// Driver part of the scheme: `network` of `network+tls`.
    #[must_use]
    pub fn driver(&self) -> &str {
        self.scheme.split_once('+').map_or(&*self.scheme, |(driver, _)| driver)
    }

    /// Transport part of the scheme: `tls` of `network+tls`.
    #[must_use]
    pub fn transport(&self) -> Option<&str> {
        self.scheme.split_once('+').map(|(_, transport)| transport)
    }

    /// User to log in as on the other host.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The other host, IPv6 addresses without brackets; `None` for this host.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Port on the other host.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Path with percent signs resolved; empty if absent.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Parameters of the query in their order.
    #[must_use]
    pub fn params(&self) -> &[(String, String)] {
        &self.params
    }

    /// First parameter with this name.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// The text it was parsed from.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Uri {
    type Err = Error;

    /// # Errors
    /// [`ErrorCode::NO_CONNECT`] for a text without a scheme, [`ErrorCode::INTERNAL_ERROR`] for one that is
    /// not a URI.
    fn from_str(text: &str) -> Result<Self> {
        parse(text).map_err(|problem| match problem {
            Problem::NoScheme => Error::new(
                ErrorCode::NO_CONNECT,
                ErrorDomain::NONE,
                format!("URI '{text}' does not include a driver name"),
            ),
            Problem::Syntax => Error::new(
                ErrorCode::INTERNAL_ERROR,
                ErrorDomain::URI,
                format!("Unable to parse URI {text}"),
            ),
        })
    }
}

enum Problem {
    NoScheme,
    Syntax,
}

fn parse(text: &str) -> std::result::Result<Uri, Problem> {
    if !text.bytes().all(is_uri_byte) || !percent_signs_are_complete(text) {
        return Err(Problem::Syntax);
    }
    let (scheme, rest) = split_scheme(text)?;
    let (rest, _fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (user, host, port) = split_authority(authority)?;
    Ok(Uri {
        text: text.to_owned(),
        scheme: scheme.to_owned(),
        user,
        host,
        port,
        path: unescape(path).ok_or(Problem::Syntax)?,
        params: split_query(query)?,
    })
}

/// A colon before any slash ends the scheme; a text without one is a relative reference.
fn split_scheme(text: &str) -> std::result::Result<(&str, &str), Problem> {
    let end = text.find([':', '/', '?', '#']).unwrap_or(text.len());
    let (scheme, rest) = text.split_at(end);
    let Some(rest) = rest.strip_prefix(':') else {
        return Err(Problem::NoScheme);
    };
    let starts_well = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let goes_on_well = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    if starts_well && goes_on_well { Ok((scheme, rest)) } else { Err(Problem::Syntax) }
}

type Authority = (Option<String>, Option<String>, Option<u16>);

fn split_authority(authority: &str) -> std::result::Result<Authority, Problem> {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(unescape(user).ok_or(Problem::Syntax)?), host),
        None => (None, authority),
    };
    let (host, port) = if let Some(rest) = host.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(Problem::Syntax)?;
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return Err(Problem::Syntax),
        }
    } else {
        match host.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (host, None),
        }
    };
    let port = match port {
        None | Some("") => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse().map_err(|_| Problem::Syntax)?)
        }
        Some(_) => return Err(Problem::Syntax),
    };
    let host = unescape(host).ok_or(Problem::Syntax)?;
    Ok((user, Some(host).filter(|host| !host.is_empty()), port))
}

fn split_query(query: &str) -> std::result::Result<Vec<(String, String)>, Problem> {
    let resolve = |text| unescape(text).ok_or(Problem::Syntax);
    query
        .split(['&', ';'])
        // a value without a name has nothing to be looked up by
        .filter(|part| !part.is_empty() && !part.starts_with('='))
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Ok((resolve(name)?, resolve(value)?))
        })
        .collect()
}

/// RFC 3986 section 2, and bytes beyond ASCII, which users type.
fn is_uri_byte(byte: u8) -> bool {
    byte > 0x7f || byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

fn percent_signs_are_complete(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        after.len() >= 2 && after.bytes().take(2).all(|digit| digit.is_ascii_hexdigit())
    })
}

/// `text` as the value of a parameter: every byte that has a meaning in URIs is written as `%XX`.
///
/// RFC 3986 section 2.1
#[must_use]
pub fn encode(text: &str) -> String {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let bytes = text.bytes().map(|byte| match is_unreserved(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    bytes.collect()
}

/// Resolves percent signs; `None` if the result is not UTF-8 or holds a zero byte.
fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    if bytes.contains(&0) { None } else { String::from_utf8(bytes).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `driver transport user host port path`, `-` for what is absent.
    #[track_caller]
    fn check(text: &str, expect: &str) {
        let uri: Uri = text.parse().unwrap();
        let shown = format!(
            "{} {} {} {} {} {}",
            uri.driver(),
            uri.transport().unwrap_or("-"),
            uri.user().unwrap_or("-"),
            uri.host().unwrap_or("-"),
            uri.port().map_or_else(|| "-".to_owned(), |port| port.to_string()),
            uri.path(),
        );
        assert_eq!(shown, expect, "{text}");
        assert_eq!(uri.to_string(), text);
    }

    #[track_caller]
    fn check_error(text: &str, code: i32, message: &str) {
        let error = text.parse::<Uri>().unwrap_err();
        assert_eq!((error.code().0, error.message()), (code, message));
    }

    #[test]
    fn parts() {
        check("test:///default", "test - - - - /default");
        check("test:/default", "test - - - - /default");
        check("test:default", "test - - - - default");
        check("network:///system", "network - - - - /system");
        check(
            "network+ssh://root@lab.example:2222/system",
            "network ssh root lab.example 2222 /system",
        );
        check("network://lab", "network - - lab - ");
        check("network+tls://[fe80::1]:16514/system", "network tls - fe80::1 16514 /system");
        check("network://[::1]/system", "network - - ::1 - /system");
        check("network://lab:/system", "network - - lab - /system");
        check("test:///a%20b", "test - - - - /a b");
        check("test:///sch%C3%B6n", "test - - - - /schön");
        check("TEST:///default", "TEST - - - - /default");
    }

    #[test]
    fn parameters_keep_their_order() {
        let uri: Uri = "network:///embed?root=%2Ftmp%2Fx&b=;c&=d&root=2#end".parse().unwrap();
        assert_eq!(uri.path(), "/embed");
        assert_eq!(uri.param("root"), Some("/tmp/x"));
        assert_eq!(uri.param("c"), Some(""));
        assert_eq!(uri.param("d"), None);
        let names: Vec<&str> = uri.params().iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["root", "b", "c", "root"]);
    }

    #[test]
    fn an_encoded_value_is_read_back() {
        assert_eq!(encode("/srv/a b"), "/srv/a%20b");
        for value in ["/", "/tmp/x&y;z=1", "100%", "#?+", "schön", ""] {
            let uri: Uri = format!("network:///embed?root={}&x=1", encode(value)).parse().unwrap();
            assert_eq!((uri.param("root"), uri.param("x")), (Some(value), Some("1")), "{uri}");
        }
    }

    #[test]
    fn what_is_no_uri() {
        let no_driver =
            "no connection driver available for URI 'lab' does not include a driver name";
        check_error("lab", 5, no_driver);
        check_error("te%st:///default", 1, "internal error: Unable to parse URI te%st:///default");
        for text in [
            ":",
            "1a://x/",
            "a b:///",
            "a:///%",
            "a:///%4",
            "a:///%zz",
            "a:///%00",
            "a://[::1/x",
            "a://[::1]x/",
            "a://h:70000/",
            "a://h:x/",
            "a:///%ff",
            "a:///\u{7}",
        ] {
            check_error(text, 1, &format!("internal error: Unable to parse URI {text}"));
        }
    }
}
