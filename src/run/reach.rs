//! How far a bookmark may move; pure.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::config::Cursor;
use crate::record::{CursorSpan, CursorValue};

/// How far behind UTC the furthest place on Earth is: what a wall-clock time of an unknown zone is
/// measured by.
const FURTHEST_BEHIND: SignedDuration = SignedDuration::from_hours(12);

/// Returns the earliest wall-clock time that a record may have which changes after `now`.
///
/// That is not the time of `now` where the clock is about to be set back: what changes after that
/// has the same times once more.
fn earliest_after(now: Timestamp, zone: Option<&TimeZone>) -> DateTime {
    let Some(zone) = zone else {
        return TimeZone::UTC
            .to_datetime(now)
            .saturating_sub(FURTHEST_BEHIND);
    };
    let clock = zone.to_datetime(now);
    match zone.following(now).next() {
        Some(change) => clock.min(zone.to_datetime(change.timestamp())),
        None => clock,
    }
}

/// How far one run has read, and so how far the next may start.
#[derive(Debug)]
pub(super) struct Reach {
    /// The bookmark when the run began.
    before: Option<CursorValue>,
    /// When the run began.
    began: Timestamp,
    /// The zone of the source's wall clock.
    zone: Option<TimeZone>,
    /// In which order the source says to send records.
    order: Order,
    /// True while the source keeps its word to send records in the cursor's order.
    ordered: bool,
    /// True once a page of a newest-first feed holds nothing but what earlier runs have read.
    met_the_known: bool,
    so_far: SoFar,
}

/// What a read is to cover, and in which order it comes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Order {
    /// Nobody knows.
    Any,
    /// From the least to the greatest cursor value.
    Ascending,
    /// The greatest cursor values first; what is less than this was read before.
    NewestFirst(Option<CursorValue>),
    /// Any, but all of a window that ends here.
    Window(CursorValue),
}

/// What the pages of a read had, as far as it matters for the rest of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SoFar {
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

/// Why a read cannot go on behind what a source gives in one reading.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Stuck {
    /// It did not come in order, so there may be more anywhere.
    #[error("they did not come in its order")]
    Disorder,
    /// None of the records has a value.
    #[error("none of them has it")]
    Nowhere,
    /// All of them have the same value.
    #[error("all of them have the value `{0}`")]
    At(CursorValue),
}

impl Reach {
    pub(super) fn new(
        before: Option<CursorValue>,
        began: Timestamp,
        zone: Option<TimeZone>,
        order: Order,
    ) -> Self {
        Self {
            before,
            began,
            zone,
            ordered: order == Order::Ascending,
            order,
            met_the_known: false,
            so_far: SoFar::default(),
        }
    }

    /// Goes on from what the pages had that an earlier run has read.
    pub(super) fn going_on(self, so_far: SoFar) -> Self {
        Self { so_far, ..self }
    }

    /// Returns what the pages had so far.
    pub(super) fn so_far(&self) -> &SoFar {
        &self.so_far
    }

    /// Takes note of merged records and says where the bookmark goes with them.
    ///
    /// In an ordered read nothing that is still to come can be less than what came, so each page
    /// moves the bookmark; otherwise only [`Reach::at_end`] does.
    pub(super) fn merged(&mut self, span: CursorSpan) -> Step {
        if self.so_far.first.is_none() {
            self.so_far.first.clone_from(&span.greatest);
        }
        let is_known = match &self.order {
            Order::NewestFirst(Some(since)) => {
                span.missing == 0
                    && span
                        .greatest
                        .as_ref()
                        .is_some_and(|greatest| greatest < since)
            }
            Order::Any | Order::Ascending | Order::NewestFirst(None) | Order::Window(_) => false,
        };
        self.met_the_known |= is_known && !span.rises;
        self.so_far.seen.append(span);
        if !self.ordered {
            return Step::Stay;
        }
        if self.so_far.seen.disordered {
            self.ordered = false;
            return Step::Back(self.before.clone());
        }
        let greatest = self.so_far.seen.greatest.clone();
        self.forward(greatest.map(|greatest| self.held(greatest)))
    }

    /// Says where the bookmark goes once everything was read and merged.
    ///
    /// An unordered read may have passed a record before that record changed, while it found a
    /// later change elsewhere; so the bookmark does not pass the moment the read began.
    ///
    /// A window that was read whole is done up to its end, whatever was in it.
    pub(super) fn at_end(&self) -> Step {
        let greatest = match &self.order {
            Order::Window(end) => Some(end.clone()),
            Order::Any | Order::Ascending | Order::NewestFirst(_) => {
                self.so_far.seen.greatest.clone()
            }
        };
        self.forward(greatest.map(|greatest| self.held(greatest)))
    }

    /// Returns where a read goes on that began at `since` and got as much as the source gives in
    /// one reading.
    ///
    /// # Errors
    /// If what lies behind cannot be told from what was read.
    pub(super) fn further(&self, since: Option<&CursorValue>) -> Result<CursorValue, Stuck> {
        match &self.so_far.seen.greatest {
            _ if self.so_far.seen.disordered => Err(Stuck::Disorder),
            None => Err(Stuck::Nowhere),
            Some(greatest) if since.is_none_or(|since| greatest > since) => Ok(greatest.clone()),
            Some(greatest) => Err(Stuck::At(greatest.clone())),
        }
    }

    /// True if the rest of a newest-first feed was read by earlier runs.
    pub(super) fn met_the_known(&self) -> bool {
        self.met_the_known
    }

    /// Says what about the cursor a person should know, if anything.
    pub(super) fn note(&self, cursor: &Cursor) -> Option<String> {
        if self.so_far.seen.greatest.is_none() && self.so_far.seen.missing > 0 {
            let how = match &cursor.format {
                Some(_) => " as `cursor.format` has it",
                None => "",
            };
            return Some(format!(
                "no record has the cursor's field `{}`{how}: the bookmark cannot move",
                cursor.field
            ));
        }
        if let (Order::Any, Some(greatest), Some(first)) =
            (&self.order, &self.so_far.seen.greatest, &self.so_far.first)
            && matches!(greatest, CursorValue::Integer(_) | CursorValue::Text(_))
            && !self.so_far.seen.disordered
            && first < greatest
        {
            return Some(format!(
                "records came in the order of `{}`: if the source promises that, say `ordered = true` \
                 in `cursor`, or each run reads again from where the page ended that the last one began with",
                cursor.field
            ));
        }
        let (promised, broken) = match self.order {
            Order::Ascending => ("ordered", !self.ordered),
            Order::NewestFirst(Some(_)) => (
                "newest_first",
                self.so_far.seen.rises && !self.met_the_known,
            ),
            Order::Any | Order::NewestFirst(None) | Order::Window(_) => return None,
        };
        broken
            .then(|| format!("the source did not keep the order that `cursor.{promised}` promises"))
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
    /// text that came in no promised order, at what the first page had. That they happened to come
    /// in order proves nothing: a record that was passed may have got its number before another
    /// that was met.
    fn held(&self, greatest: CursorValue) -> CursorValue {
        match greatest {
            CursorValue::Instant(at) => CursorValue::Instant(at.min(self.began)),
            CursorValue::Civil(at) => {
                CursorValue::Civil(at.min(earliest_after(self.began, self.zone.as_ref())))
            }
            other => match &self.so_far.first {
                Some(first) if !self.ordered && *first < other => first.clone(),
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
            if ordered {
                Order::Ascending
            } else {
                Order::Any
            },
        )
    }

    fn cursor() -> Cursor {
        Cursor {
            field: "version".parse().unwrap(),
            filter: None,
            lookback: std::time::Duration::ZERO,
            start: None,
            ordered: true,
            newest_first: false,
            format: None,
            window: None,
        }
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
        assert!(reach.note(&cursor()).unwrap().contains("`cursor.ordered`"));
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

        // They came in order, though nobody promised: 8 may stand on the first page by now.
        let mut in_order = reach(None, None, false);
        in_order.merged(span(&["3", "7"]));
        in_order.merged(span(&["8", "9"]));
        assert_eq!(in_order.at_end(), to("7"));
        assert!(
            in_order
                .note(&cursor())
                .unwrap()
                .contains("say `ordered = true`")
        );
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

    #[test]
    fn a_clock_that_is_about_to_be_set_back_holds_the_bookmark_where_it_will_be_set_to() {
        // On 25 October 2026 Amsterdam has the hour from two to three twice.
        let cases = [
            ("2026-10-24T23:30:00Z", "2026-10-25T01:30:00"),
            ("2026-10-25T00:50:00Z", "2026-10-25T02:00:00"),
            ("2026-10-25T01:10:00Z", "2026-10-25T02:10:00"),
            ("2026-03-29T00:59:00Z", "2026-03-29T01:59:00"),
        ];
        let amsterdam = TimeZone::get("Europe/Amsterdam").unwrap();
        for (now, earliest) in cases {
            let earliest: DateTime = earliest.parse().unwrap();
            let now = now.parse().unwrap();
            assert_eq!(earliest_after(now, Some(&amsterdam)), earliest, "{now}");
        }
    }

    #[test]
    fn a_newest_first_feed_ends_at_a_page_that_is_known_from_end_to_end() {
        let since = CursorValue::read("40");
        let newest = |since| {
            Reach::new(
                None,
                BEGAN.parse().unwrap(),
                None,
                Order::NewestFirst(since),
            )
        };
        let mut feed = newest(Some(since.clone()));
        feed.merged(span(&["90", "40"]));
        assert!(!feed.met_the_known(), "40 may have changed since");
        feed.merged(span(&["39", "38"]));
        assert!(feed.met_the_known());
        assert_eq!(feed.at_end(), to("90"));

        let mut upside_down = newest(Some(since));
        upside_down.merged(span(&["1", "2"]));
        assert!(!upside_down.met_the_known());
        assert!(
            upside_down
                .note(&cursor())
                .unwrap()
                .contains("`cursor.newest_first`")
        );
        let mut first = newest(None);
        first.merged(span(&["39", "38"]));
        assert!(!first.met_the_known());
    }

    #[test]
    fn a_window_moves_the_bookmark_to_its_end_even_if_it_is_empty() {
        let end = |end: &str| {
            let order = Order::Window(CursorValue::read(end));
            Reach::new(None, BEGAN.parse().unwrap(), None, order).at_end()
        };
        assert_eq!(end("2026-02-01T00:00:00Z"), to("2026-02-01T00:00:00Z"));
        assert_eq!(end("2026-12-01T00:00:00Z"), to(BEGAN));
    }

    #[test]
    fn a_read_goes_on_from_its_last_value_if_that_leads_further() {
        let further = |values: &[&str], since: Option<&str>| {
            let mut reach = reach(None, None, true);
            reach.merged(span(values));
            reach.further(since.map(CursorValue::read).as_ref())
        };
        assert_eq!(further(&["1", "5"], None), Ok(CursorValue::Integer(5)));
        assert_eq!(further(&["4", "5"], Some("4")), Ok(CursorValue::Integer(5)));
        let stuck = Stuck::At(CursorValue::Integer(5));
        assert_eq!(further(&["5", "5"], Some("5")), Err(stuck));
        assert_eq!(further(&["5", "4"], None), Err(Stuck::Disorder));
        assert_eq!(further(&[], None), Err(Stuck::Nowhere));
    }

    #[test]
    fn a_field_that_no_record_has_is_told() {
        let mut reach = reach(None, None, false);
        assert_eq!(reach.note(&cursor()), None);
        let mut missing = CursorSpan::default();
        missing.note(None);
        reach.merged(missing);
        assert!(
            reach
                .note(&cursor())
                .unwrap()
                .contains("no record has the cursor's field `version`")
        );
    }
}
