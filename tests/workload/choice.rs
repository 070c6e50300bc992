//! What a client does next, and how often.

use rand::RngExt;
use rand::rngs::StdRng;

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    CreateUser,
    PatchUser,
    ReplaceUser,
    Deactivate,
    Reactivate,
    DeleteUser,
    CreateGroup,
    RenameGroup,
    DeleteGroup,
    AddMember,
    RemoveMember,
    ReadUser,
    ReadGroup,
    FindUsers,
}

/// In parts of the sum.
const WEIGHTS: [(Choice, u32); 14] = [
    (Choice::CreateUser, 8),
    (Choice::PatchUser, 20),
    (Choice::ReplaceUser, 5),
    (Choice::Deactivate, 7),
    (Choice::Reactivate, 4),
    (Choice::DeleteUser, 5),
    (Choice::CreateGroup, 2),
    (Choice::RenameGroup, 4),
    (Choice::DeleteGroup, 1),
    (Choice::AddMember, 12),
    (Choice::RemoveMember, 7),
    (Choice::ReadUser, 16),
    (Choice::ReadGroup, 8),
    (Choice::FindUsers, 7),
];

pub(super) fn next(random: &mut StdRng) -> Choice {
    let mut point = random.random_range(0..WEIGHTS.iter().map(|(_, weight)| weight).sum());
    for (choice, weight) in WEIGHTS {
        if point < weight {
            return choice;
        }
        point -= weight;
    }
    Choice::ReadUser
}
