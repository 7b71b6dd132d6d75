//! Packets between hosts: one question each, and what became of it.
//!
//! A [`Question`] is a TCP connection or a UDP datagram to port [`PORT`], where every host answers
//! with the address it was asked from. Both sides run in `oxivirt-campaign probe`, inside the namespaces:
//! [`serve()`] answers, [`ask()`] asks many questions at once. A UDP datagram carries the number of its
//! question, and [`serve()`] writes down which ones arrived: so a packet that gets through one way
//! is seen even if its answer is lost.

mod ask;
mod dhcp6;
mod firewalld;
mod polkit;
mod resolver;
mod serve;
mod stream;
mod tap;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

pub use ask::ask;
pub use dhcp6::dhcp6;
pub use firewalld::firewalld;
pub use polkit::polkit;
pub use resolver::resolver;
pub use serve::serve;
pub use stream::{count, flood, meter, stream};
pub use tap::arp;

use crate::error::{Error, Result};

/// The port that every host answers on.
pub const PORT: u16 = 7777;

/// Time after which a question counts as unanswered.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// Time after which a TCP connection counts as unanswered: less than the second after which the kernel
/// sends its first segment again. An ICMPv6 error that answers the first is ignored, as the socket is still
/// in use by connect(2), and one that answers the second is not.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(900);

/// What carries a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// A connection.
    Tcp,
    /// A datagram.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl FromStr for Protocol {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            other => Err(Error::Format { what: "a protocol".into(), found: other.into() }),
        }
    }
}

/// One packet to send and wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Distinguishes requests.
    pub number: u32,
    /// Connection or datagram.
    pub protocol: Protocol,
    /// Where from; unspecified address and port 0 leave it to the kernel.
    pub from: SocketAddr,
    /// The host that is asked.
    pub to: IpAddr,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.number, self.protocol, self.from, self.to)
    }
}

impl FromStr for Question {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::Format { what: "a question".into(), found: text.into() };
        let mut words = text.split_whitespace();
        let mut next = || words.next().ok_or_else(wrong);
        Ok(Self {
            number: next()?.parse().map_err(|_| wrong())?,
            protocol: next()?.parse()?,
            from: next()?.parse().map_err(|_| wrong())?,
            to: next()?.parse().map_err(|_| wrong())?,
        })
    }
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered; the asked host saw it come from `seen`, it was sent from `sent`.
    Delivered {
        /// As the asked host saw it.
        seen: SocketAddr,
        /// As it left.
        sent: SocketAddr,
    },
    /// A router or the host refused it.
    Refused,
    /// Nothing came back in time.
    Timeout,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered { seen, sent } => write!(f, "delivered {seen} {sent}"),
            Self::Refused => f.write_str("refused"),
            Self::Timeout => f.write_str("timeout"),
        }
    }
}

impl FromStr for Outcome {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::Format { what: "an outcome".into(), found: text.into() };
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["delivered", seen, sent] => Ok(Self::Delivered {
                seen: seen.parse().map_err(|_| wrong())?,
                sent: sent.parse().map_err(|_| wrong())?,
            }),
            ["refused"] => Ok(Self::Refused),
            ["timeout"] => Ok(Self::Timeout),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_question(text: &str) {
        assert_eq!(text.parse::<Question>().unwrap().to_string(), text);
    }

    #[track_caller]
    fn check_outcome(text: &str) {
        assert_eq!(text.parse::<Outcome>().unwrap().to_string(), text);
    }

    #[test]
    fn lines_round_trip() {
        check_question("1 tcp 0.0.0.0:0 192.0.2.1");
        check_question("2 udp [fd00::2]:600 fd00::1");
        check_outcome("delivered 192.0.2.1:1024 192.0.2.2:600");
        check_outcome("refused");
        check_outcome("timeout");
    }

    #[test]
    fn other_lines_are_errors() {
        for text in ["", "1", "1 tcp", "x tcp 0.0.0.0:0 ::1", "1 icmp 0.0.0.0:0 ::1"] {
            assert!(text.parse::<Question>().is_err(), "{text}");
        }
        for text in ["", "delivered", "refused 1", "delivered 1 2"] {
            assert!(text.parse::<Outcome>().is_err(), "{text}");
        }
    }

    #[test]
    fn questions_are_answered_over_loopback() {
        let server = serve::Server::start(&["127.0.0.1".parse().unwrap()], 0).unwrap();
        let question = |number, protocol| Question {
            number,
            protocol,
            from: "127.0.0.1:0".parse().unwrap(),
            to: "127.0.0.1".parse().unwrap(),
        };
        let questions = [question(1, Protocol::Tcp), question(2, Protocol::Udp)];
        let answers = ask::ask_port(&questions, server.port());
        for question in questions {
            let Outcome::Delivered { seen, sent } = answers[&question.number] else {
                panic!("{question}: {}", answers[&question.number]);
            };
            assert_eq!(seen, sent);
        }
        assert_eq!(server.received(), [2]);
    }

    #[test]
    fn a_closed_port_refuses() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let question = Question {
            number: 1,
            protocol: Protocol::Tcp,
            from: "0.0.0.0:0".parse().unwrap(),
            to: "127.0.0.1".parse().unwrap(),
        };
        assert_eq!(ask::ask_port(&[question], free)[&1], Outcome::Refused);
    }
}
