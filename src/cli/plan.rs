//! `tidegate plan [FLOW…]`: the calls that the schedule will make, against what sources allow.

use super::{Exit, Failed, Output, print};
use crate::clock::SharedClock;
use crate::config::{self, Config, Flow};
use crate::plan::{self, FlowPlan, LimitPlan, Plan};
use crate::remedy::Remedy;
use crate::store;

pub(super) fn plan(
    config: &Config,
    names: &[String],
    output: Output,
    clock: &SharedClock,
) -> Result<Exit, Failed> {
    let known = |name: &String| match config.flows.get(name.as_str()) {
        Some(flow) => Ok(flow),
        None => {
            let error = config::no_such("flow", name, config.flows.keys());
            Err(Failed::new(error, Remedy::EditConfig, None))
        }
    };
    let flows: Vec<&Flow> = match names {
        [] => config.flows.values().collect(),
        names => names.iter().map(known).collect::<Result<_, _>>()?,
    };
    let data = match store::open_reader(&config.database, &store::DATA) {
        // The first run makes the database.
        Err(store::Error::Missing { .. }) => None,
        data => Some(data?),
    };
    let plans = plan::plans(config, flows.into_iter(), data.as_ref(), clock.now())?;
    match output.json {
        true => print::json(&plans),
        false => plans.iter().for_each(show),
    }
    Ok(Exit::Done)
}

fn show(plan: &Plan) {
    let tenant = match plan.tenant.as_str() {
        "" => String::new(),
        tenant => format!(", tenant `{}`", print::shown(tenant)),
    };
    print::line(&format!("connection `{}`{tenant}", plan.connection));
    let rows = plan.flows.iter().map(row).collect();
    let heading = [
        "FLOW",
        "RUNS A DAY",
        "CALLS A RUN",
        "CALLS A DAY",
        "KNOWN FROM",
    ];
    print::table(&heading, rows, &[1, 2, 3]);
    if plan.limits.is_empty() {
        let calls = print::grouped(plan.calls_per_day);
        print::line(&format!("no limit is known: {calls} calls a day"));
    }
    for limit in &plan.limits {
        print::line(&verdict(limit));
    }
    print::line("");
}

fn row(flow: &FlowPlan) -> Vec<String> {
    let known = match flow.known_from_runs {
        0 => "nothing; one is assumed".to_owned(),
        runs => print::many(runs as u64, "run"),
    };
    let runs = match flow.runs_per_day {
        runs if runs == 0.0 || runs >= 10.0 => format!("{runs:.0}"),
        runs => format!("{runs:.2}")
            .trim_end_matches(['0'])
            .trim_end_matches('.')
            .to_owned(),
    };
    vec![
        flow.flow.clone(),
        runs,
        print::grouped(flow.calls_per_run),
        print::grouped(flow.calls_per_day),
        known,
    ]
}

/// Says whether the calls fit into a limit.
fn verdict(limit: &LimitPlan) -> String {
    let word = if limit.fits { "fits" } else { "does not fit" };
    let (expected, allowed) = (
        print::grouped(limit.expected),
        print::grouped(limit.allowed),
    );
    let name = print::shown(&limit.limit);
    match limit.until {
        None => format!("{word}: {expected} of {allowed} ({name}, less the reserve)"),
        Some(until) => format!(
            "{word}: {expected} of {allowed} that are left until {} (`{name}`)",
            print::moment(until)
        ),
    }
}
