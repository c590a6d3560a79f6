//! What happens: the source changes, time passes, processes are started and killed.

use std::time::Duration;

use tidegate::clock::Clock;
use tidegate::sandbox::{At, Fault, Settings};

use crate::evidence::Evidence;
use crate::files::Files;
use crate::support::{Dice, Exact, Ran, Running};
use crate::tally::Tally;

/// The flows, one for each way a bookmark moves: at the end of a read, and with every page. Neither
/// looks back, so that nothing but the bookmark itself decides what is read again.
const FLOWS: [(&str, &str); 2] = [("at_the_end", ""), ("with_every_page", "ordered = true, ")];
/// What they read: every kind of value is among it.
const FIELDS: &str = "ID,Code,Description,AccountName,Notes,BudgetedAmount,MarkupPercentage,\
    BlockEntry,BudgetType,Classification,ManagerFullname,StartDate,EndDate,Created,Modified";
/// How many projects there are at first, and on a page: a first load of ten pages for each flow.
const PROJECTS: usize = 200;
const PAGE: usize = 20;
/// More calls, and errors, than any story makes: limits have tests of their own.
const PLENTY: u32 = 1_000_000;

/// How often time moves while a process lives, and how much faster than the machine's: a start
/// that finds a doubt waits some seconds before it acts.
const STEP: Duration = Duration::from_millis(5);
const SPEED: u32 = 20;
/// How often it is looked whether the moment to aim at has come.
const AIM_STEP: Duration = Duration::from_micros(500);
/// The longest a process is left alone that should end by itself.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much longer than a typical run the daemon is watched: it has a schedule to read as well.
const DAEMON_SHARE: f64 = 1.2;
/// Kills within an exchange fall into this much time after the thing aimed at.
const AFTER_THE_ATTEMPT: Duration = Duration::from_millis(6);
const AFTER_THE_REQUEST: Duration = Duration::from_millis(30);
/// The longest an ordered fault holds a token answer back.
const LONGEST_DELAY: Duration = Duration::from_millis(80);

/// Jumps of the clock between two processes: less than a token's life, into the last seconds of
/// it, and past its end.
const A_LITTLE: Duration = Duration::from_secs(240);
const INTO_THE_WINDOW: Duration = Duration::from_secs(588);
const PAST_THE_END: Duration = Duration::from_secs(610);
const AN_HOUR: Duration = Duration::from_secs(60 * 60);

/// How often the source is edited between two processes.
const EDITS: u32 = 4;
/// How many rounds there are from one finished run to the next, and how many after a loss, when
/// kills find little more to do.
const ROUNDS_TO_FINISH: u32 = 8;
const ROUNDS_AFTER_LOSS: u32 = 2;

/// When a process is killed.
#[derive(Debug, Clone, Copy)]
enum Aim {
    /// At any moment of a typical run.
    Anywhere,
    /// Soon after it began to write a token attempt down.
    Attempt,
    /// Soon after the provider got its token request.
    Request,
}

#[derive(Debug)]
pub(crate) struct Story {
    exact: Exact,
    dice: Dice,
    evidence: Evidence,
    pub(crate) tally: Tally,
    /// How long a run takes that nobody kills.
    typical: Duration,
    rounds: u32,
    rounds_lost: u32,
}

impl Story {
    /// Moves in, signs in, and measures in another house how long a first run takes.
    pub(crate) fn begin(seed: u64) -> Self {
        let another = house();
        another.sign_in();
        let (ran, typical) = to_the_end(&another, &["--run-now"]);
        ran.expect_code(0);
        drop(another);
        let exact = house();
        exact.sign_in();
        let mut story = Self {
            exact,
            dice: Dice::new(seed),
            evidence: Evidence::default(),
            tally: Tally::default(),
            typical,
            rounds: 0,
            rounds_lost: 0,
        };
        story.examine(false);
        story
    }

    /// Lets something happen, starts a process, kills it, and looks at what it leaves behind.
    pub(crate) fn round(&mut self) {
        self.pass();
        self.order_a_fault();
        let is_daemon = self.dice.percent(30);
        let arguments: &[&str] = if is_daemon { &[] } else { &["--run-now"] };
        let mut process = self.exact.house.start(arguments);
        self.wait_for_the_moment(&mut process, is_daemon);
        let ran = process.kill();
        self.exact.sandbox.calm();
        match ran.code {
            None => self.tally.daemons += u64::from(is_daemon),
            Some(_) => {
                assert!(!is_daemon, "the daemon ended by itself: {ran:#?}");
                self.tally.too_late += 1;
            }
        }
        self.examine_after(&ran);

        self.rounds += 1;
        self.rounds_lost += u32::from(self.evidence.is_lost());
        if self.rounds >= ROUNDS_TO_FINISH || self.rounds_lost >= ROUNDS_AFTER_LOSS {
            self.finish();
        }
    }

    /// Lets a run finish, signs in if an answer was lost, and compares everything.
    pub(crate) fn finish(&mut self) {
        (self.rounds, self.rounds_lost) = (0, 0);
        if self.evidence.is_lost() {
            self.sign_in_again();
        }
        self.wait_out();
        let (ran, typical) = to_the_end(&self.exact, &["--run-now"]);
        ran.expect_code(0);
        self.typical = typical;
        self.examine(false);
        assert!(!self.evidence.is_lost());

        let files = Files::of(&self.exact.house);
        files.expect_whole();
        self.tally.interrupted += self.evidence.expect_runs_closed(&files);
        for (flow, _) in FLOWS {
            self.tally.rows += self.exact.expect_equal(flow) as u64;
        }
        self.tally.finished += 1;
    }

    /// Shows that a lost answer ends as a login that is needed, and signs in.
    fn sign_in_again(&mut self) {
        // Until then the access token may be used on.
        self.exact.house.clock().advance(PAST_THE_END).unwrap();
        self.wait_out();
        let (ran, _) = to_the_end(&self.exact, &["--run-now"]);
        ran.expect_code(3);
        self.examine(false);
        let shown = self.exact.house.run(&["connections", "--json"]);
        let connection = &shown.expect_code(3).json()[0];
        assert_eq!(connection["connection"], "exact");
        assert_eq!(connection["state"], "needs_login", "{connection}");
        assert_eq!(connection["reason"], "rotation_answer_lost", "{connection}");
        self.exact.sign_in();
        self.tally.logins += 1;
        self.examine(false);
        assert!(!self.evidence.is_lost());
    }

    /// Changes the source: mostly a little, sometimes a lot, never a deletion.
    fn edit(&mut self) {
        if self.dice.percent(60) {
            let most = if self.dice.percent(20) { 100 } else { 25 };
            let count = usize::try_from(self.dice.below(most)).unwrap();
            self.exact.sandbox.change_projects(count);
        }
        if self.dice.percent(25) {
            let count = usize::try_from(self.dice.below(4)).unwrap();
            self.exact.sandbox.insert_projects(count);
        }
    }

    /// Lets time pass, often as much as makes a refresh due, while the source changes now and then:
    /// the bookmark has many moments to stop at.
    fn pass(&mut self) {
        let jump = match self.dice.below(10) {
            0..3 => self.dice.up_to(A_LITTLE),
            3..6 => INTO_THE_WINDOW,
            6..9 => PAST_THE_END,
            _ => self.dice.up_to(AN_HOUR),
        };
        for _ in 0..EDITS {
            self.edit();
            self.exact.house.clock().advance(jump / EDITS).unwrap();
        }
    }

    /// Sees to it that a token answer often takes its time, and sometimes is lost on its way.
    fn order_a_fault(&mut self) {
        let wait = self.dice.up_to(LONGEST_DELAY);
        let fault = match self.dice.below(20) {
            0..9 => return,
            9..15 => Fault::Delay(wait),
            15..19 => Fault::Slow(wait),
            _ => Fault::Drop,
        };
        self.exact.sandbox.inject(At::Token, fault, 1);
    }

    /// Lets a process live until the moment it is to be killed at.
    fn wait_for_the_moment(&mut self, process: &mut Running, is_daemon: bool) {
        let share = if is_daemon { DAEMON_SHARE } else { 1.0 };
        let typical = self.typical.mul_f64(share);
        let (aim, after) = match self.dice.below(10) {
            0..5 => (Aim::Anywhere, self.dice.up_to(typical)),
            5..7 => (Aim::Attempt, self.dice.up_to(AFTER_THE_ATTEMPT)),
            _ => (Aim::Request, self.dice.up_to(AFTER_THE_REQUEST)),
        };
        let meddles = self.dice.percent(20).then(|| self.dice.up_to(after));
        let asked = self.evidence.seen();
        let rescue = self.exact.house.path("tidegate-state/rescue");
        let files = || std::fs::read_dir(&rescue).map_or(0, Iterator::count);
        let files_before = files();
        let has_come = || match aim {
            Aim::Anywhere => true,
            Aim::Attempt => files() > files_before,
            Aim::Request => !self
                .exact
                .sandbox
                .ledger()
                .token_requests_after(asked)
                .is_empty(),
        };
        let mut waited = Duration::ZERO;
        while !has_come() && waited < typical {
            if live(&self.exact, process, AIM_STEP) {
                return;
            }
            waited += AIM_STEP;
        }
        match meddles {
            None => live(&self.exact, process, after),
            Some(first) => {
                live(&self.exact, process, first);
                self.edit();
                live(&self.exact, process, after - first)
            }
        };
    }

    /// Lets the time go by during which the program sends nothing.
    fn wait_out(&self) {
        let clock = self.exact.house.clock();
        let next_at = Files::of(&self.exact.house).standing().next_at;
        if let Some(next_at) = next_at.filter(|at| *at > clock.now()) {
            clock.set(next_at).unwrap();
        }
    }

    fn examine_after(&mut self, ran: &Ran) {
        let scene = self.examine(ran.code.is_none());
        let code = ran.code;
        if let Some(code) = code {
            assert!(code != 2, "{ran:#?}");
            assert!(code != 3 || self.evidence.is_lost(), "{ran:#?}");
        } else {
            *self.tally.scenes.entry(scene).or_default() += 1;
        }
    }

    fn examine(&mut self, is_killed: bool) -> crate::evidence::Scene {
        self.evidence
            .examine(&self.exact, is_killed, &mut self.tally)
    }
}

fn house() -> Exact {
    let flows = FLOWS.map(|(name, ordered)| {
        let order = match ordered {
            "" => "",
            _ => ", \"$orderby\" = \"Modified\"",
        };
        let more = format!(
            "every = \"10m\"\n\
             query = {{ \"$select\" = \"{FIELDS}\"{order} }}\n\
             cursor = {{ field = \"Modified\", lookback = \"0s\", {ordered}\
             filter = \"Modified ge datetime'{{{{ bookmark }}}}'\" }}"
        );
        Exact::project_flow(name, &more)
    });
    let settings = Settings {
        projects: PROJECTS,
        page: PAGE,
        calls_per_minute: PLENTY,
        calls_per_day: PLENTY,
        errors_per_hour: PLENTY as usize,
        ..Settings::default()
    };
    Exact::with_flows(settings, &flows.concat())
}

/// Lets a process live for so long while time passes; returns whether it ended by itself.
fn live(exact: &Exact, process: &mut Running, life: Duration) -> bool {
    let mut left = life;
    while !left.is_zero() {
        let step = left.min(STEP);
        if process.has_ended_within(step) {
            return true;
        }
        exact.house.clock().advance(step * SPEED).unwrap();
        left -= step;
    }
    false
}

/// Runs the program to its end while time passes; returns how long that took, too.
fn to_the_end(exact: &Exact, arguments: &[&str]) -> (Ran, Duration) {
    let mut process = exact.house.start(arguments);
    let mut took = Duration::ZERO;
    while !live(exact, &mut process, STEP) {
        took += STEP;
        assert!(took < PATIENCE, "it does not end: {:#?}", process.kill());
    }
    (process.finish(), took)
}
