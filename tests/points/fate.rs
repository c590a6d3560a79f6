//! What happens to one connection in one round, and what must come of it.

use std::time::Duration;

use crate::support::{Dice, Hold, Rotation, Trouble};

/// Where in a refresh the process is when it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Point {
    Intent,
    Send,
    ServerCommit,
    RescueWrite,
    Commit,
    Unlink,
}

impl Point {
    pub(crate) const ALL: [Self; 6] = [
        Self::Intent,
        Self::Send,
        Self::ServerCommit,
        Self::RescueWrite,
        Self::Commit,
        Self::Unlink,
    ];

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Intent => "after intent",
            Self::Send => "after send",
            Self::ServerCommit => "after the server committed",
            Self::RescueWrite => "after the rescue write",
            Self::Commit => "after commit",
            Self::Unlink => "after unlink",
        }
    }

    /// Returns the name by which the program stops there by itself.
    pub(crate) fn order(self) -> Option<&'static str> {
        match self {
            Self::Intent => Some("after_intent"),
            Self::RescueWrite => Some("after_rescue_write"),
            Self::Commit => Some("after_commit"),
            Self::Unlink => Some("after_unlink"),
            Self::Send | Self::ServerCommit => None,
        }
    }

    /// Returns where the server holds the request so that the process is there.
    pub(crate) fn hold(self) -> Option<Hold> {
        match self {
            Self::Send => Some(Hold::BeforeCommit),
            Self::ServerCommit => Some(Hold::AfterCommit),
            _ => None,
        }
    }

    /// Tells whether the program had the answer in a safe place.
    pub(crate) fn is_answer_safe(self) -> bool {
        self >= Self::RescueWrite
    }
}

/// How a connection stands after the restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Ok,
    NeedsLogin,
}

/// What chance has in store for one connection.
#[derive(Debug, Clone)]
pub(crate) struct Fate {
    pub(crate) point: Point,
    /// Whether the server works on a request whose client died after sending it.
    pub(crate) works_on: bool,
    /// What goes wrong with the tries after the restart.
    pub(crate) troubles: Vec<Trouble>,
}

impl Fate {
    pub(crate) fn cast(dice: &mut Dice) -> Self {
        let point = Point::ALL[usize::try_from(dice.below(6)).unwrap()];
        let works_on = dice.percent(50);
        let count = match dice.below(10) {
            0..7 => 0,
            7..9 => 1,
            _ => 2,
        };
        let trouble = |dice: &mut Dice| match dice.below(3) {
            0 => Trouble::NotSeen,
            1 => Trouble::AnswerLost,
            _ => Trouble::Unavailable,
        };
        let troubles = (0..count).map(|_| trouble(dice)).collect();
        Self {
            point,
            works_on,
            troubles,
        }
    }

    /// Says what must come of it with a server of this kind that was asked again so much later.
    pub(crate) fn end(&self, rotation: Rotation, down_time: Duration) -> End {
        if self.point.is_answer_safe() {
            return End::Ok;
        }
        let is_spent_at_the_kill = match self.point {
            Point::Intent => false,
            Point::Send => self.works_on,
            _ => true,
        };
        let is_spent_later = self.troubles.contains(&Trouble::AnswerLost);
        let is_in_grace = !is_spent_at_the_kill || down_time < crate::support::GRACE;
        match rotation {
            _ if !is_spent_at_the_kill && !is_spent_later => End::Ok,
            Rotation::Strict | Rotation::SuccessorLives => End::NeedsLogin,
            Rotation::SameSuccessor | Rotation::NewSuccessor if !is_in_grace => End::NeedsLogin,
            Rotation::SameSuccessor | Rotation::NewSuccessor => End::Ok,
            Rotation::UntilUse | Rotation::Never => End::Ok,
        }
    }
}
