//! How far a bookmark may move; pure.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::record::{CursorSpan, CursorValue};

/// How far behind UTC the furthest place on Earth is: what a wall-clock time of an unknown zone is
/// measured by.
const FURTHEST_BEHIND: SignedDuration = SignedDuration::from_hours(12);

/// How far one run has read, and so how far the next may start.
#[derive(Debug)]
pub(super) struct Reach {
    /// The bookmark when the run began.
    before: Option<CursorValue>,
    /// When the run began.
    began: Timestamp,
    /// The zone of the source's wall clock.
    zone: Option<TimeZone>,
    /// True while the source keeps its word to send records in the cursor's order.
    ordered: bool,
    seen: CursorSpan,
    /// The greatest value of the first pages: whatever changed after them has a greater one.
    first: Option<CursorValue>,
}

/// What to do with the bookmark in the transaction that merges some pages.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Leave it.
    Stay,
    /// Move it there.
    To(CursorValue),
    /// The source broke its word: back to where the run began.
    Back(Option<CursorValue>),
}

impl Reach {
    pub(super) fn new(
        before: Option<CursorValue>,
        began: Timestamp,
        zone: Option<TimeZone>,
        ordered: bool,
    ) -> Self {
        Self {
            before,
            began,
            zone,
            ordered,
            seen: CursorSpan::default(),
            first: None,
        }
    }

    /// Takes note of merged records and says where the bookmark goes with them.
    ///
    /// In an ordered read nothing that is still to come can be less than what came, so each page
    /// moves the bookmark; otherwise only [`Reach::at_end`] does.
    pub(super) fn merged(&mut self, span: CursorSpan) -> Step {
        if self.first.is_none() {
            self.first.clone_from(&span.greatest);
        }
        self.seen.append(span);
        if !self.ordered {
            return Step::Stay;
        }
        if self.seen.disordered {
            self.ordered = false;
            return Step::Back(self.before.clone());
        }
        let greatest = self.seen.greatest.clone();
        self.forward(greatest.map(|greatest| self.held(greatest)))
    }

    /// Says where the bookmark goes once everything was read and merged.
    ///
    /// An unordered read may have passed a record before that record changed, while it found a
    /// later change elsewhere; so the bookmark does not pass the moment the read began.
    pub(super) fn at_end(&self) -> Step {
        let greatest = self.seen.greatest.clone();
        self.forward(greatest.map(|greatest| self.held(greatest)))
    }

    /// True if the source sent records out of the order it was said to keep.
    pub(super) fn broke_its_word(&self, said: bool) -> bool {
        said && !self.ordered
    }

    fn forward(&self, to: Option<CursorValue>) -> Step {
        match (to, &self.before) {
            (None, _) => Step::Stay,
            (Some(to), Some(before)) if to <= *before => Step::Stay,
            (Some(to), _) => Step::To(to),
        }
    }

    /// Holds a value back where a record may have changed behind it: at the moment the read began,
    /// which also keeps one record dated in the future from hiding all others; or, for numbers and
    /// text that came in no order, at what the first page had.
    fn held(&self, greatest: CursorValue) -> CursorValue {
        match greatest {
            CursorValue::Instant(at) => CursorValue::Instant(at.min(self.began)),
            CursorValue::Civil(at) => {
                let began = match &self.zone {
                    Some(zone) => zone.to_datetime(self.began),
                    None => TimeZone::UTC
                        .to_datetime(self.began)
                        .saturating_sub(FURTHEST_BEHIND),
                };
                CursorValue::Civil(at.min(began))
            }
            other => match &self.first {
                Some(first) if !self.ordered && self.seen.disordered && *first < other => {
                    first.clone()
                }
                _ => other,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: &str = "2026-07-01T12:00:00Z";

    fn span(values: &[&str]) -> CursorSpan {
        let mut span = CursorSpan::default();
        values
            .iter()
            .for_each(|value| span.note(Some(CursorValue::read(value))));
        span
    }

    fn reach(before: Option<&str>, zone: Option<&str>, ordered: bool) -> Reach {
        let zone = zone.map(|zone| TimeZone::get(zone).unwrap());
        Reach::new(
            before.map(CursorValue::read),
            BEGAN.parse().unwrap(),
            zone,
            ordered,
        )
    }

    fn to(value: &str) -> Step {
        Step::To(CursorValue::read(value))
    }

    #[test]
    fn an_ordered_read_moves_with_each_page_and_never_back() {
        let mut reach = reach(Some("40"), None, true);
        assert_eq!(reach.merged(span(&["35", "39"])), Step::Stay); // the lookback
        assert_eq!(reach.merged(span(&["39", "45"])), to("45"));
        assert_eq!(reach.merged(span(&[])), to("45"));
        assert_eq!(reach.at_end(), to("45"));
    }

    #[test]
    fn a_source_that_breaks_its_word_sends_the_bookmark_back() {
        let mut reach = reach(Some("40"), None, true);
        assert_eq!(reach.merged(span(&["41", "45"])), to("45"));
        assert_eq!(
            reach.merged(span(&["43"])),
            Step::Back(Some(CursorValue::Integer(40)))
        );
        assert_eq!(reach.merged(span(&["50"])), Step::Stay);
        assert!(reach.broke_its_word(true));
        assert_eq!(reach.at_end(), to("45")); // what its first page had
    }

    #[test]
    fn an_unordered_read_moves_at_its_end_and_not_past_its_beginning() {
        let later = "2026-07-01T12:00:30Z";
        let mut unordered = reach(None, None, false);
        assert_eq!(
            unordered.merged(span(&[later, "2026-07-01T11:00:00Z"])),
            Step::Stay
        );
        assert_eq!(unordered.at_end(), to(BEGAN));

        let wall_clock = "2026-07-01T14:00:30"; // Amsterdam is two hours ahead in July
        let mut amsterdam = reach(None, Some("Europe/Amsterdam"), false);
        amsterdam.merged(span(&[wall_clock]));
        assert_eq!(amsterdam.at_end(), to("2026-07-01T14:00:00"));

        let mut unknown = reach(None, None, false);
        unknown.merged(span(&[wall_clock]));
        assert_eq!(unknown.at_end(), to("2026-07-01T00:00:00"));
    }

    #[test]
    fn numbers_in_no_order_are_held_at_what_the_first_page_had() {
        let mut unordered = reach(None, None, false);
        unordered.merged(span(&["7", "3"]));
        unordered.merged(span(&["5", "9"]));
        assert_eq!(unordered.at_end(), to("7"));

        // They came in order, though nobody said so: what changes goes to the end, and is seen.
        let mut in_order = reach(None, None, false);
        in_order.merged(span(&["3", "7"]));
        in_order.merged(span(&["8", "9"]));
        assert_eq!(in_order.at_end(), to("9"));
    }

    #[test]
    fn a_record_dated_in_the_future_does_not_hide_the_others() {
        let mut ordered = reach(None, None, true);
        let step = ordered.merged(span(&["2026-01-01T00:00:00Z", "2099-01-01T00:00:00Z"]));
        assert_eq!(step, to(BEGAN));
    }

    #[test]
    fn a_read_that_found_nothing_leaves_the_bookmark() {
        assert_eq!(reach(Some("40"), None, false).at_end(), Step::Stay);
    }
}
