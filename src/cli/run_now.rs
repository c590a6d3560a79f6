//! `--run-now [FLOW…]`: runs flows once, the way the schedule would.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::owner::Owner;
use super::{Exit, Failed, Output, print, signals};
use crate::clock::SharedClock;
use crate::config::Config;
use crate::journal::Outcome;
use crate::remedy::Remedy;
use crate::run::{Ended, Event};

/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(100);

pub(super) async fn run_now(
    config: &Arc<Config>,
    flows: Vec<String>,
    output: Output,
    clock: &SharedClock,
) -> Result<Exit, Failed> {
    let owner = Owner::reach(config, "run", clock).await?;
    if let Some(house) = owner.house() {
        signals::stop_runs(house.runner.stop().clone())?;
    }
    let mut progress = Progress::new(output);
    let mut ended = Vec::new();
    let heard = |event: Event| {
        if output.json {
            print::json_line(&event);
        }
        progress.show(&event);
        if let Event::Ended(end) = event {
            if !output.json {
                progress.all.suspend(|| print::ended(&end));
            }
            ended.push(end);
        }
    };
    let result = owner.client.run(flows, heard).await;
    owner.leave().await;
    result?;
    Ok(exit(&ended))
}

/// The worst of the outcomes: a login that is needed beats a failed run.
fn exit(ended: &[Ended]) -> Exit {
    let login = ended.iter().any(|end| end.remedy == Some(Remedy::Login));
    let failed = ended.iter().any(|end| end.outcome != Outcome::Succeeded);
    match (login, failed) {
        (true, _) => Exit::Login,
        (false, true) => Exit::Failed,
        (false, false) => Exit::Done,
    }
}

/// One turning line per flow, on a terminal only.
struct Progress {
    all: MultiProgress,
    lines: BTreeMap<String, ProgressBar>,
}

impl Progress {
    fn new(output: Output) -> Self {
        let shown = std::io::stderr().is_terminal() && !output.json;
        let target = if shown {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            all: MultiProgress::with_draw_target(target),
            lines: BTreeMap::new(),
        }
    }

    fn show(&mut self, event: &Event) {
        match event {
            Event::Started { flow, .. } => self.line(flow).set_message("reading the first page"),
            Event::Joined { flow } => self.line(flow).set_message("already running; joined"),
            Event::Merged { flow, tally, .. } => {
                let message = format!("page {}, {}", tally.pages, print::counts(tally));
                self.line(flow).set_message(message);
            }
            Event::Waiting {
                flow,
                until,
                reason,
            } => {
                let message = format!("{reason}; goes on at {}", print::moment(*until));
                self.line(flow).set_message(message);
            }
            // Told again at the end, where it stays on the screen.
            Event::Noted { flow, note, .. } => self.line(flow).set_message(note.clone()),
            Event::Ended(end) => {
                if let Some(line) = self.lines.remove(&end.flow) {
                    line.finish_and_clear();
                }
            }
        }
    }

    fn line(&mut self, flow: &str) -> &ProgressBar {
        self.lines.entry(flow.to_owned()).or_insert_with(|| {
            let line = self.all.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {msg}") {
                line.set_style(style);
            }
            line.set_prefix(flow.to_owned());
            line.enable_steady_tick(TURN);
            line
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Trigger;
    use crate::record::Tally;

    #[test]
    fn a_needed_login_beats_a_failed_run() {
        let end = |outcome, remedy| Ended {
            flow: "a".to_owned(),
            run: 1,
            trigger: Trigger::Manual,
            outcome,
            tally: Tally::default(),
            elapsed_ms: 1,
            error: None,
            hint: None,
            remedy,
            resumes_at: None,
            notes: Vec::new(),
        };
        let good = end(Outcome::Succeeded, None);
        let failed = end(Outcome::Failed, Some(Remedy::Wait));
        let login = end(Outcome::Failed, Some(Remedy::Login));
        assert_eq!(exit(&[]), Exit::Done);
        assert_eq!(exit(std::slice::from_ref(&good)), Exit::Done);
        assert_eq!(exit(&[good.clone(), failed.clone()]), Exit::Failed);
        assert_eq!(exit(&[login, failed, good]), Exit::Login);
    }
}
