//! The flaws that can be planted.

/// Each strikes now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::history) enum Flaw {
    /// An update is answered as if it were made, and is not.
    UpdateLost,
    /// A create is answered, and nothing is stored.
    CreateLost,
    /// An update is answered, and takes effect after those that come next.
    UpdateLate,
    /// An update takes effect a second time, after those that come next.
    UpdateTwice,
    /// A rename is answered, and the old name stays.
    RenameForgotten,
    /// A reactivation is answered, and the user stays inactive.
    ReactivationLost,
    /// A deactivated user is active again.
    ActiveAgain,
    /// A reactivation is never answered, and takes effect once a newer deactivation was acknowledged.
    AbandonedComesLate,
    /// An update that was read before a deactivation writes the whole user after it.
    ActiveOverwritten,
    /// A deleted user is there again.
    UserAgain,
    /// A deletion is answered, and the user stays.
    DeletionLost,
    /// An added member is not in the group.
    MemberLost,
    /// An add writes back a list of members that was read before.
    MembersOverwritten,
    /// A removed member stays.
    MemberStays,
    /// A deleted user stays a member.
    MemberDangles,
    /// The userName is not checked.
    NameTwice,
    /// A create makes two users.
    CreateTwice,
    /// A create is refused, and made all the same.
    RefusedAndMade,
    /// Reads come from a copy that lags behind.
    ReadStale,
    /// A list leaves somebody out.
    ListMisses,
    /// A list is kept apart from the users, and not kept up.
    ListOutdated,
    /// An update changes another user, too.
    UpdateCrossed,
    /// A read shows another user.
    ReadCrossed,
    /// An update does not raise the version.
    VersionKept,
    /// A good token is refused.
    Unauthorized,
    /// A user who is there is not found.
    NotFound,
}

impl Flaw {
    /// It strikes each so many times that it could: the rarer the request, the more often.
    pub(super) const fn every(self) -> u32 {
        match self {
            Self::RenameForgotten | Self::ReactivationLost | Self::ActiveOverwritten | Self::MemberStays => 1,
            Self::ReadStale | Self::MemberLost | Self::MembersOverwritten | Self::ActiveAgain => 2,
            _ => 3,
        }
    }
}
