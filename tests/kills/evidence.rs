//! The ledger of the provider, held against what the program has written down.
//!
//! What must hold at every moment a process can be killed:
//!
//! - A refresh token was presented at most as often as the vault counts tries of it, and more than
//!   once only with its doubt on record: both were written before the token was sent.
//! - What the provider granted is in the vault, or its sealed answer lies beside it, or it is lost.
//!   It is lost only where the answer was not read, or the process was killed before it could keep
//!   what it had read; never without a kill, and never once it was kept.
//! - The provider refused nothing but the refresh token of a lost answer.
//! - The vault says *needs login* only after a loss, and then says why.
//! - There were never two token requests at the same time.

use std::collections::{BTreeMap, BTreeSet};

use tidegate::sandbox::{Delivery, Grant, Ledger, Outcome, Place, TokenRequest};

use crate::files::{Files, Standing};
use crate::support::{Exact, eventually};
use crate::tally::Tally;

/// What was under way when a process was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scene {
    Starting,
    AttemptWritten,
    AnswerDue,
    AnswerUnread,
    AnswerUnkept,
    AnswerKept,
    Refusal,
    RunOpened,
    PagesMerged,
    AfterItsRuns,
}

impl Scene {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Starting => "the start, up to the first run",
            Self::AttemptWritten => "a refresh: written down, not sent",
            Self::AnswerDue => "a refresh: sent and consumed, the answer not yet out",
            Self::AnswerUnread => "a refresh: the answer out, not read",
            Self::AnswerUnkept => "a refresh: the answer read, not kept",
            Self::AnswerKept => "a refresh: the answer kept, not stored",
            Self::Refusal => "a refresh: refused after a doubt, not settled",
            Self::RunOpened => "a run: open, nothing merged",
            Self::PagesMerged => "a run: some pages merged",
            Self::AfterItsRuns => "the time after its runs",
        }
    }
}

/// What is known so far.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// The last token request looked at.
    seen: u64,
    /// The credentials the vault has had: the first is generation 1.
    stored: Vec<Place>,
    /// A grant whose answer is kept on disk and not yet stored.
    kept: Option<Place>,
    /// The refresh token whose answer is lost, until somebody signs in.
    lost: Option<Place>,
    /// How often each refresh token was presented.
    presented: BTreeMap<Place, u32>,
    /// How often, all in all, a try was written down for the present generation.
    tried: (usize, u32),
    doubts: BTreeSet<i64>,
    /// Runs that a kill left open.
    open_runs: BTreeSet<i64>,
    last_run: i64,
}

/// A look at everything, after a process has ended.
struct Look {
    files: Files,
    standing: Standing,
    asked: Vec<TokenRequest>,
    is_killed: bool,
}

impl Evidence {
    /// Tells whether the answer to a refresh is lost, so that only a login helps.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// Returns the number of the last token request looked at.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// Looks at what a process that has ended leaves behind; returns what it was at if it was
    /// killed.
    pub(crate) fn examine(&mut self, exact: &Exact, is_killed: bool, tally: &mut Tally) -> Scene {
        let ledger = exact.sandbox.ledger();
        let asked = self.settled(&ledger);
        let files = Files::of(&exact.house);
        let look = Look {
            standing: files.standing(),
            files,
            asked,
            is_killed,
        };
        assert!(
            ledger.peak_parallel_token_requests() <= 1,
            "two token requests at the same time"
        );
        let at_exchange = self.follow_the_grants(&look, tally);
        self.expect_tries_on_record(&look, tally);
        self.expect_refusals_after_a_loss_only(&look);
        self.expect_login_after_a_loss_only(&look.standing);
        let at_run = self.note_runs(&look);
        let doubts = look.files.doubts();
        tally.doubts += doubts
            .into_iter()
            .filter(|doubt| self.doubts.insert(*doubt))
            .count() as u64;
        let at_attempt = self.note_tries(&look).then_some(Scene::AttemptWritten);
        at_exchange.or(at_attempt).unwrap_or(at_run)
    }

    /// Returns the token requests not looked at yet, once it is known how far their answers got.
    fn settled(&mut self, ledger: &Ledger) -> Vec<TokenRequest> {
        let open = |request: &TokenRequest| {
            matches!(request.delivery, Delivery::UnderWay | Delivery::Written)
        };
        let asked = || ledger.token_requests_after(self.seen);
        let is_known = eventually(|| !asked().iter().any(open));
        assert!(
            is_known,
            "it stays unknown how far an answer got: {:?}",
            asked()
        );
        let asked = asked();
        self.seen += asked.len() as u64;
        asked
    }

    /// Follows what was granted into the vault, or to where it was lost.
    fn follow_the_grants(&mut self, look: &Look, tally: &mut Tally) -> Option<Scene> {
        let was_kept = self.kept.take();
        let granted = look
            .asked
            .iter()
            .filter_map(|request| match request.outcome {
                Outcome::Granted(place) => Some((place, request)),
                Outcome::Refused(_) | Outcome::Untouched => None,
            });
        let granted: Vec<_> = granted.collect();
        let rotations = granted
            .iter()
            .filter(|(_, of)| of.grant == Grant::RefreshToken);
        tally.rotations += rotations.count() as u64;
        let places = was_kept
            .into_iter()
            .chain(granted.iter().map(|(place, _)| *place));
        let mut places: Vec<Place> = places.collect();

        let generation = look.files.generation();
        let news = generation
            .checked_sub(self.stored.len())
            .filter(|news| *news <= places.len())
            .unwrap_or_else(|| panic!("generation {generation} came from nowhere: {self:#?}"));
        let left = places.split_off(news);
        let is_stored = |place: &Place| places.contains(place);
        tally.rescued += u64::from(was_kept.as_ref().is_some_and(is_stored));
        for (place, request) in granted.iter().filter(|(place, _)| is_stored(place)) {
            assert_eq!(
                request.delivery,
                Delivery::Read,
                "{place:?} was stored but never read"
            );
            if request.grant == Grant::AuthorizationCode {
                self.lost = None;
            }
        }
        self.stored.extend(places);

        let [place] = left[..] else {
            assert!(left.is_empty(), "two grants are astray: {left:?}");
            return None;
        };
        let request = granted
            .iter()
            .find(|(of, _)| *of == place)
            .map(|(_, request)| *request);
        self.astray(look, place, request, tally)
    }

    /// Judges a grant that is not in the vault.
    fn astray(
        &mut self,
        look: &Look,
        place: Place,
        request: Option<&TokenRequest>,
        tally: &mut Tally,
    ) -> Option<Scene> {
        if look.files.is_answer_kept() {
            assert!(
                look.is_killed,
                "a process that was not killed left {place:?} unstored"
            );
            self.kept = Some(place);
            let is_read = request.is_none_or(|request| request.delivery == Delivery::Read);
            assert!(is_read, "{place:?} was kept but never read");
            return Some(Scene::AnswerKept);
        }
        let request = request.unwrap_or_else(|| panic!("{place:?} was kept on disk, and is gone"));
        assert_eq!(request.grant, Grant::RefreshToken, "{request:?}");
        self.lost = request.place;
        if request.delivery == Delivery::Read {
            assert!(
                look.is_killed,
                "{place:?} was read, and lost without a kill"
            );
            tally.read_not_kept += 1;
            return Some(Scene::AnswerUnkept);
        }
        tally.never_read += 1;
        match request.delivery {
            Delivery::Unwritten => Some(Scene::AnswerDue),
            Delivery::Unread => Some(Scene::AnswerUnread),
            // The process saw that the answer was lost, and went on.
            _ => None,
        }
    }

    fn expect_tries_on_record(&mut self, look: &Look, tally: &mut Tally) {
        let presented: BTreeSet<Place> = look
            .asked
            .iter()
            .filter(|request| request.grant == Grant::RefreshToken)
            .map(|request| {
                let place = request.place;
                let place = place.expect("every refresh token was issued by this provider");
                let times = self.presented.entry(place).or_default();
                *times += 1;
                tally.reuses += u64::from(self.lost == Some(place) && *times > 1);
                place
            })
            .collect();
        for place in presented {
            let index = self.stored.iter().position(|stored| *stored == place);
            let generation = index.expect("what is presented was stored before") + 1;
            let tries = look.files.tries(generation);
            let times = self.presented[&place];
            assert!(
                tries.count >= times,
                "{place:?} was presented {times} times, and on record are {tries:?}"
            );
            assert!(
                times == 1 || tries.in_doubt,
                "{place:?} was presented {times} times without a doubt on record"
            );
        }
    }

    fn expect_refusals_after_a_loss_only(&self, look: &Look) {
        for request in &look.asked {
            let is_refused = !matches!(request.outcome, Outcome::Granted(_));
            assert!(
                !is_refused || (self.lost.is_some() && request.place == self.lost),
                "refused, although {:?} is lost: {request:?}",
                self.lost
            );
        }
    }

    fn expect_login_after_a_loss_only(&self, standing: &Standing) {
        let reason = standing.reason.as_deref();
        match standing.state.as_str() {
            "ok" | "backing_off" | "in_doubt" => {}
            "needs_login" => {
                assert!(
                    self.is_lost(),
                    "needs login, and nothing was lost: {standing:?}"
                );
                assert_eq!(reason, Some("rotation_answer_lost"));
            }
            _ => panic!("{standing:?}"),
        }
    }

    /// Tells whether a try was written down that the provider never saw.
    fn note_tries(&mut self, look: &Look) -> bool {
        let generation = look.files.generation();
        let tries = look.files.tries(generation).count;
        let (before, known) = std::mem::replace(&mut self.tried, (generation, tries));
        let fresh = if before == generation {
            tries - known
        } else {
            tries
        };
        let seen = look.asked.iter().filter(|request| {
            request.place.is_some() && request.place.as_ref() == self.stored.last()
        });
        look.is_killed && u64::from(fresh) > seen.count() as u64
    }

    fn note_runs(&mut self, look: &Look) -> Scene {
        let (open, last) = look.files.runs();
        let has_run = last > self.last_run;
        self.last_run = last;
        assert!(
            look.is_killed || open.is_empty(),
            "{open:?} stayed open, and nothing was killed"
        );
        // One of each flow at most: the next run of a flow closes it.
        assert!(open.len() <= 2, "{open:?} are open");
        let is_refusal = look.asked.last().is_some_and(|request| {
            matches!(request.outcome, Outcome::Refused(_)) && look.standing.state != "needs_login"
        });
        let scene = match open.is_empty() {
            _ if is_refusal => Scene::Refusal,
            true if has_run => Scene::AfterItsRuns,
            true => Scene::Starting,
            false if look.files.pages_of_open_runs() > 0 => Scene::PagesMerged,
            false => Scene::RunOpened,
        };
        self.open_runs.extend(open);
        scene
    }

    /// Fails the test unless every run that a kill left open is closed as interrupted by now;
    /// returns how many there were since the last time.
    pub(crate) fn expect_runs_closed(&mut self, files: &Files) -> u64 {
        let (open, _) = files.runs();
        assert!(open.is_empty(), "{open:?} are open");
        for run in &self.open_runs {
            assert_eq!(files.outcome(*run).as_deref(), Some("interrupted"));
        }
        std::mem::take(&mut self.open_runs).len() as u64
    }
}
