//! What a judgement names.

use std::fmt;

/// A promise that a history shows broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) kind: Kind,
    /// Which register, such as `Users/0193… title`.
    pub(crate) register: String,
    /// Which writes and reads contradict each other, with their times.
    pub(crate) sentence: String,
}

/// Which promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// An acknowledged write is nowhere to be seen.
    LostWrite,
    /// An older write took effect after a newer one.
    Reordered,
    /// A read showed what an earlier read, or an acknowledged write, had replaced; a later read was right.
    StaleRead,
    /// A refused write took effect.
    GhostWrite,
    /// A value or resource that nobody wrote there.
    Invented,
    /// Active after an acknowledged deactivation.
    StuckActive,
    /// Not in the group after an acknowledged add.
    LostMember,
    /// In the group after an acknowledged remove, or after the user's deletion.
    GhostMember,
    /// Gone, and there again.
    Resurrected,
    /// There after an acknowledged deletion.
    Undeleted,
    /// Two live resources of one name, or two made by one request.
    Doubled,
    /// Missing in a list although it is there.
    Unlisted,
    /// A list and a read by id show different things.
    ListingDiffers,
    /// A refusal without a reason.
    WrongRefusal,
    /// An answer about something else than was asked.
    WrongAnswer,
    /// One version of a resource with two contents.
    ForkedVersion,
    /// A lower version after a higher one.
    VersionWentBack,
}

impl Kind {
    const fn words(self) -> &'static str {
        match self {
            Self::LostWrite => "lost write",
            Self::Reordered => "reordered",
            Self::StaleRead => "stale read",
            Self::GhostWrite => "ghost write",
            Self::Invented => "invented",
            Self::StuckActive => "stuck active",
            Self::LostMember => "lost member",
            Self::GhostMember => "ghost member",
            Self::Resurrected => "resurrected",
            Self::Undeleted => "not deleted",
            Self::Doubled => "doubled",
            Self::Unlisted => "unlisted",
            Self::ListingDiffers => "listing differs",
            Self::WrongRefusal => "wrong refusal",
            Self::WrongAnswer => "wrong answer",
            Self::ForkedVersion => "forked version",
            Self::VersionWentBack => "version went back",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.words())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}: {}", self.kind, self.register, self.sentence)
    }
}
