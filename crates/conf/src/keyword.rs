//! Closed sets of words: one declaration gives the type, its spelling and its reader.

/// An enum whose variants are spelled with fixed words in documents.
pub(crate) trait Keyword: Copy + 'static {
    /// Every variant with its word.
    const WORDS: &'static [(Self, &'static str)];

    /// The variant spelled `word`, compared case-sensitively.
    fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, known)| *known == word).map(|&(variant, _)| variant)
    }
}

macro_rules! keywords {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $name {
            /// The word documents use.
            #[must_use]
            $vis const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::keyword::Keyword for $name {
            const WORDS: &'static [(Self, &'static str)] = &[$((Self::$variant, $word),)+];
        }
    };
}

pub(crate) use keywords;

/// As [`keywords!`], with the word as every variant's description.
macro_rules! words {
    ($($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($variant:ident = $word:literal,)+
    })+) => {
        $($crate::keyword::keywords! {
            $(#[$meta])*
            $vis enum $name {
                $(#[doc = concat!("`", $word, "`.")] $variant = $word,)+
            }
        })+
    };
}

pub(crate) use words;

words! {
    /// A switch spelled `on` and `off`.
    pub enum OnOff {
        On = "on",
        Off = "off",
    }
}

keywords! {
    /// A switch that is also printed when it is off; its absence is a third state (`Option`).
    pub enum YesNo {
        /// On.
        Yes = "yes",
        /// Off.
        No = "no",
    }
}

impl Keyword for oxivirt_types::ip::Family {
    const WORDS: &'static [(Self, &'static str)] = &[(Self::Ipv4, "ipv4"), (Self::Ipv6, "ipv6")];
}
