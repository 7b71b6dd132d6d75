//! Events of domains.
//!
//! Each kind has up to two messages with the same content: one that begins with the number of the
//! registration, and an older one without. Kinds added after the numbers have the first only.
//!
//! libvirt 11.3.0: `remote_domain_event_callback_lifecycle_msg` and its like

use oxivirt::{DomainEvent, DomainLifecycleEvent, FamilyEvent as _, MetadataType};
use oxivirt_rpc::xdr::{self, Text, XdrError};

use super::{Domain, text};

/// How a registration is named in its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainEventNumber {
    /// By its number.
    Callback(i32),
    /// Not at all: the client has one registration for each kind of event.
    Bare,
}

/// Numbers of the messages of a kind of event.
struct Messages {
    /// The kind.
    id: i32,
    /// The message with the registration.
    callback: i32,
    /// The message without.
    bare: Option<i32>,
}

const fn row(id: i32, callback: i32, bare: i32) -> Messages {
    Messages { id, callback, bare: Some(bare) }
}

const fn new(id: i32, callback: i32) -> Messages {
    Messages { id, callback, bare: None }
}

/// The kinds that [`DomainEvent`] has.
const MESSAGES: [Messages; 12] = [
    row(0, 318, 107),
    row(1, 319, 169),
    row(2, 320, 170),
    row(3, 321, 171),
    row(4, 322, 172),
    row(6, 324, 195),
    row(10, 328, 268),
    row(13, 331, 276),
    row(15, 333, 311),
    new(18, 348),
    new(19, 354),
    new(23, 379),
];

/// Appends the content of an event's message; returns the number of the message, `None` if there is none
/// for a registration of this form.
///
/// # Errors
/// [`XdrError`] if a text is longer than the protocol allows.
pub fn append_domain_event(
    out: &mut Vec<u8>,
    to: DomainEventNumber,
    event: &DomainEvent,
) -> Result<Option<i32>, XdrError> {
    let id = event.id().number();
    let Some(messages) = MESSAGES.iter().find(|messages| messages.id == id) else {
        return Ok(None);
    };
    let number = match to {
        DomainEventNumber::Callback(callback) => {
            xdr::append(out, &callback)?;
            messages.callback
        }
        DomainEventNumber::Bare => match messages.bare {
            Some(number) => number,
            None => return Ok(None),
        },
    };
    append(out, event)?;
    Ok(Some(number))
}

fn append(out: &mut Vec<u8>, event: &DomainEvent) -> Result<(), XdrError> {
    let dom = Domain::from(event.domain());
    let word = |text: &str| Text::from(text);
    match event {
        DomainEvent::Lifecycle { event, detail, .. } => {
            xdr::append(out, &(dom, event.number(), detail))
        }
        DomainEvent::RtcChange { offset, .. } => xdr::append(out, &(dom, offset)),
        DomainEvent::Watchdog { action, .. } => xdr::append(out, &(dom, action)),
        DomainEvent::IoError { path, alias, action, .. } => {
            xdr::append(out, &(dom, word(path), word(alias), action))
        }
        DomainEvent::IoErrorReason { path, alias, action, reason, .. } => {
            xdr::append(out, &(dom, word(path), word(alias), action, word(reason)))
        }
        DomainEvent::BalloonChange { actual_kib, .. } => xdr::append(out, &(dom, actual_kib)),
        DomainEvent::DeviceAdded { alias, .. } | DomainEvent::DeviceRemoved { alias, .. } => {
            xdr::append(out, &(dom, word(alias)))
        }
        DomainEvent::TrayChange { alias, reason, .. } => {
            xdr::append(out, &(dom, word(alias), reason))
        }
        DomainEvent::AgentLifecycle { state, reason, .. } => {
            xdr::append(out, &(dom, state, reason))
        }
        DomainEvent::MetadataChange { kind, uri, .. } => {
            xdr::append(out, &(dom, kind.number(), uri.as_deref().map(word)))
        }
        // a reboot has nothing but the domain, and the table has no other kind
        _ => xdr::append(out, &dom),
    }
}

/// Reads the message with this number, and how it names its registration; `None` for another message, or
/// one whose content is not what it has to be.
#[must_use]
pub fn read_domain_event(number: i32, payload: &[u8]) -> Option<(DomainEventNumber, DomainEvent)> {
    let is_callback = |messages: &&Messages| messages.callback == number;
    if let Some(messages) = MESSAGES.iter().find(is_callback) {
        let (callback, content) = payload.split_first_chunk::<4>()?;
        let callback = DomainEventNumber::Callback(i32::from_be_bytes(*callback));
        return Some((callback, read(messages.id, content).ok()?));
    }
    let messages = MESSAGES.iter().find(|messages| messages.bare == Some(number))?;
    Some((DomainEventNumber::Bare, read(messages.id, payload).ok()?))
}

fn read(id: i32, content: &[u8]) -> Result<DomainEvent, XdrError> {
    let of = |dom: Domain| (&dom).into();
    Ok(match id {
        0 => {
            let (dom, event, detail): (Domain, i32, i32) = xdr::from_bytes_exact(content)?;
            let event = DomainLifecycleEvent::from_number(event);
            DomainEvent::Lifecycle { domain: of(dom), event, detail }
        }
        2 => {
            let (dom, offset): (Domain, i64) = xdr::from_bytes_exact(content)?;
            DomainEvent::RtcChange { domain: of(dom), offset }
        }
        3 => {
            let (dom, action): (Domain, i32) = xdr::from_bytes_exact(content)?;
            DomainEvent::Watchdog { domain: of(dom), action }
        }
        4 => {
            let (dom, path, alias, action): (Domain, Text, Text, i32) =
                xdr::from_bytes_exact(content)?;
            let (path, alias) = (path.to_text(), alias.to_text());
            DomainEvent::IoError { domain: of(dom), path, alias, action }
        }
        6 => {
            let (dom, path, alias, action, reason): (Domain, Text, Text, i32, Text) =
                xdr::from_bytes_exact(content)?;
            let (path, alias, reason) = (path.to_text(), alias.to_text(), reason.to_text());
            DomainEvent::IoErrorReason { domain: of(dom), path, alias, action, reason }
        }
        10 => {
            let (dom, alias, reason): (Domain, Text, i32) = xdr::from_bytes_exact(content)?;
            DomainEvent::TrayChange { domain: of(dom), alias: alias.to_text(), reason }
        }
        13 => {
            let (dom, actual_kib): (Domain, u64) = xdr::from_bytes_exact(content)?;
            DomainEvent::BalloonChange { domain: of(dom), actual_kib }
        }
        15 | 19 => {
            let (dom, alias): (Domain, Text) = xdr::from_bytes_exact(content)?;
            let (domain, alias) = (of(dom), alias.to_text());
            if id == 15 {
                DomainEvent::DeviceRemoved { domain, alias }
            } else {
                DomainEvent::DeviceAdded { domain, alias }
            }
        }
        18 => {
            let (dom, state, reason): (Domain, i32, i32) = xdr::from_bytes_exact(content)?;
            DomainEvent::AgentLifecycle { domain: of(dom), state, reason }
        }
        23 => {
            let (dom, kind, uri): (Domain, i32, Option<Text>) = xdr::from_bytes_exact(content)?;
            let kind = MetadataType::from_number(kind);
            DomainEvent::MetadataChange { domain: of(dom), kind, uri: text(uri.as_ref()) }
        }
        _ => DomainEvent::Reboot { domain: of(xdr::from_bytes_exact(content)?) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxivirt::{DomainRef, Uuid};

    fn events() -> Vec<DomainEvent> {
        let domain = DomainRef { name: "g".to_owned(), uuid: Uuid::from_u128(1), id: Some(3) };
        let (path, alias) = ("/disk".to_owned(), "virtio-disk0".to_owned());
        let of = || domain.clone();
        vec![
            DomainEvent::Lifecycle {
                domain: of(),
                event: DomainLifecycleEvent::Started,
                detail: 1,
            },
            DomainEvent::Reboot { domain: of() },
            DomainEvent::RtcChange { domain: of(), offset: -7 },
            DomainEvent::Watchdog { domain: of(), action: 2 },
            DomainEvent::IoError {
                domain: of(),
                path: path.clone(),
                alias: alias.clone(),
                action: 1,
            },
            DomainEvent::IoErrorReason {
                domain: of(),
                path,
                alias: alias.clone(),
                action: 1,
                reason: "enospc".to_owned(),
            },
            DomainEvent::BalloonChange { domain: of(), actual_kib: 1 << 40 },
            DomainEvent::DeviceAdded { domain: of(), alias: alias.clone() },
            DomainEvent::DeviceRemoved { domain: of(), alias: alias.clone() },
            DomainEvent::TrayChange { domain: of(), alias, reason: 1 },
            DomainEvent::AgentLifecycle { domain: of(), state: 2, reason: 1 },
            DomainEvent::MetadataChange {
                domain: of(),
                kind: MetadataType::Element,
                uri: Some("http://x".to_owned()),
            },
        ]
    }

    #[test]
    fn every_event_comes_back() {
        let events = events();
        assert_eq!(events.len(), MESSAGES.len());
        for event in events {
            for to in [DomainEventNumber::Callback(9), DomainEventNumber::Bare] {
                let mut out = Vec::new();
                let Some(number) = append_domain_event(&mut out, to, &event).unwrap() else {
                    assert!(to == DomainEventNumber::Bare && event.id().number() >= 18);
                    continue;
                };
                assert_eq!(read_domain_event(number, &out), Some((to, event.clone())));
                out.pop();
                assert_eq!(read_domain_event(number, &out), None, "{event:?}");
            }
        }
    }
}
