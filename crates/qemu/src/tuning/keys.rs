//! Codes of keys as the emulator takes them.
//!
//! The emulator's numbers are the scan codes of a PC's keyboard, those with the prefix `e0` with bit 7 set.
//!
//! QEMU: `QKeyCode`, qapi/ui.json; Linux: include/uapi/linux/input-event-codes.h

use oxivirt::{DomainKeys, Error, ErrorCode, ErrorDomain, Result};
use oxivirt_qmp::command::Key;

/// Sets of codes (`virKeycodeSet`), by number.
const SETS: [&str; 10] =
    ["linux", "xt", "atset1", "atset2", "atset3", "osx", "xt_kbd", "usb", "win32", "qnum"];
const LINUX: u32 = 0;
const XT: u32 = 1;
const XT_KBD: u32 = 6;
const QNUM: u32 = 9;
/// Most keys at a time (`VIR_DOMAIN_SEND_KEY_MAX_KEYS`).
const KEYS_MAX: usize = 16;
/// Codes of Linux up to this one are scan codes, as far as there are any.
const SAME: u32 = 88;
/// Codes of Linux and scan codes.
const LINUX_CODES: [(u32, u32); 64] = [
    (85, 0x76),
    (89, 0x73),
    (90, 0x78),
    (91, 0x77),
    (92, 0x79),
    (93, 0x70),
    (94, 0x7b),
    (95, 0x5c),
    (96, 0x9c),
    (97, 0x9d),
    (98, 0xb5),
    (99, 0x54),
    (100, 0xb8),
    (101, 0x5b),
    (102, 0xc7),
    (103, 0xc8),
    (104, 0xc9),
    (105, 0xcb),
    (106, 0xcd),
    (107, 0xcf),
    (108, 0xd0),
    (109, 0xd1),
    (110, 0xd2),
    (111, 0xd3),
    (112, 0xef),
    (113, 0xa0),
    (114, 0xae),
    (115, 0xb0),
    (116, 0xde),
    (117, 0x59),
    (118, 0xce),
    (119, 0xc6),
    (120, 0x8b),
    (121, 0x7e),
    (124, 0x7d),
    (125, 0xdb),
    (126, 0xdc),
    (127, 0xdd),
    (128, 0xe8),
    (129, 0x85),
    (130, 0x86),
    (131, 0x87),
    (132, 0x8c),
    (133, 0xf8),
    (134, 0x64),
    (135, 0x65),
    (136, 0xc1),
    (137, 0xbc),
    (138, 0xf5),
    (139, 0x9e),
    (140, 0xa1),
    (142, 0xdf),
    (143, 0xe3),
    (163, 0x99),
    (164, 0xa2),
    (165, 0x90),
    (166, 0xa4),
    (183, 0x5d),
    (184, 0x5e),
    (185, 0x5f),
    (186, 0x55),
    (187, 0x83),
    (188, 0xf7),
    (189, 0x84),
];

/// The keys as the emulator takes them.
///
/// # Errors
/// [`ErrorCode::INTERNAL_ERROR`] for a code that has no number there, or a set that is not known.
pub(super) fn translate(keys: &DomainKeys) -> Result<Vec<Key>> {
    if keys.codes.is_empty() || keys.codes.len() > KEYS_MAX {
        let detail =
            format!("nkeycodes in virDomainSendKey must be less than or equal to {KEYS_MAX}");
        return Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::DOMAIN, detail));
    }
    let translate = |code: &u32| {
        number(keys.codeset, *code).map(Key::Number).ok_or_else(|| {
            let set = usize::try_from(keys.codeset).ok().and_then(|at| SETS.get(at));
            let set = set.copied().unwrap_or("unknown");
            let detail =
                format!("cannot translate keycode {code} of {set} codeset to qnum keycode");
            Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::QEMU, detail)
        })
    };
    keys.codes.iter().map(translate).collect()
}

fn number(codeset: u32, code: u32) -> Option<u32> {
    match codeset {
        LINUX => {
            let found = LINUX_CODES.iter().find(|(linux, _)| *linux == code);
            let same = (1..=SAME).contains(&code) && code != 84;
            found.map(|(_, number)| *number).or_else(|| same.then_some(code))
        }
        XT if code & 0xff00 == 0xe000 => Some(code & 0x7f | 0x80),
        XT => Some(code).filter(|code| (1..0x80).contains(code)),
        XT_KBD | QNUM => Some(code).filter(|code| (1..0x100).contains(code)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(codeset: u32, code: u32, expect: Option<u32>) {
        assert_eq!(number(codeset, code), expect, "{code} of {codeset}");
    }

    #[test]
    fn codes_are_those_of_a_pc_keyboard() {
        check(0, 30, Some(30));
        check(0, 88, Some(88));
        check(0, 84, None);
        check(0, 111, Some(0xd3));
        check(0, 29, Some(0x1d));
        check(0, 5000, None);
        check(1, 0xe053, Some(0xd3));
        check(9, 0xd3, Some(0xd3));
        check(7, 4, None);
        assert!(LINUX_CODES.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn a_code_without_number_is_refused_by_name() {
        let keys = |codeset, codes| DomainKeys { codeset, hold_ms: 0, codes };
        let error = translate(&keys(7, vec![4])).unwrap_err();
        assert!(error.to_string().contains("keycode 4 of usb codeset"), "{error}");
        assert!(translate(&keys(0, vec![])).is_err());
        assert!(translate(&keys(0, vec![30; 17])).is_err());
        assert_eq!(translate(&keys(0, vec![30])).unwrap(), [Key::Number(30)]);
    }
}
