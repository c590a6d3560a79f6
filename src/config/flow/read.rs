//! A flow as written.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Accounts, Flow, Sweep, deletes, delta, fan_out, resource, table, when};
use crate::config::Name;
use url::Url;

use crate::config::connection::{Auth, Connection, Written, below};
use crate::config::keys;
use crate::config::reader::{Item, Table, listed, nearest, quoted};
use crate::config::report::Problem;
use crate::config::templates::Variables;

/// The longest a run may take unless the flow says otherwise; a first load of years fits.
const TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// What a run's time limit may be.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(7 * 86_400);

/// How old the page may be at which a broken-off read goes on, unless the flow says otherwise: a
/// spent daily budget is a day, and few sources keep a place for longer.
const RESUME_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);
/// What that may be.
const RESUMES: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(30 * 86_400);

/// The connections a flow may name; one that could not be read is there without its settings.
pub(in crate::config) type Connections = BTreeMap<Name, Option<Written>>;

/// Reads `[flow.NAME]`.
pub(in crate::config) fn read(
    name: Name,
    item: &Item<'_>,
    connections: &Connections,
) -> Option<Flow> {
    let flow = item.table(&keys::FLOW, format!("flow `{name}`"))?;
    let connection = flow.need("connection", "the name of a connection");
    let connection = connection.and_then(|item| connection_of(&item, connections));
    let written = connection
        .as_ref()
        .and_then(|name| connections.get(name)?.as_ref());

    let schedule = when::read(&flow);
    let enabled = flow.or("enabled", true, |item| item.boolean());
    let timeout = flow.or("timeout", TIMEOUT, |item| item.duration(TIMEOUTS));
    let resume_within = flow.or("resume_within", RESUME_WITHIN, |item| {
        item.duration(RESUMES)
    });
    let accounts = match flow.get("accounts") {
        Some(item) => accounts(&item, written)?,
        None => Accounts::Nameless,
    };
    let (for_each, each) = fan_out::read(&flow);
    let mut resource = resource::read(&flow, written, &accounts, &each);
    if let (Some(resource), Some(written)) = (&resource, written) {
        check_destination(&flow, resource.url.source(), &written.connection);
    }
    let vars = resource.as_ref().map(|resource| resource.vars.clone());
    let vars = vars.unwrap_or_default();
    let with = Variables::of_flow(
        &vars,
        written.map(|written| written.connection.facts()),
        accounts != Accounts::Nameless,
        &each,
    );
    let with = fan_out::with(&flow, &with.lasting());
    let mut table = table::read(&flow, &name, &accounts, with);
    let tombstones = flow.get("tombstones").and_then(|item| {
        let key = table.as_ref().map_or(&[][..], |table| &table.key);
        deletes::tombstones(&item, key)
    });
    if let (Some(resource), Some(table)) = (&mut resource, &mut table) {
        delta::check(&flow, resource);
        table.deletes.sweep = match table.deletes.sweep {
            said if deletes::names_sweep(&flow) => said,
            // It reads what lies so far from today, and what it no longer brings is only too old.
            _ if resource.asks_by_now => Sweep::Never,
            // It is read whole where the source itself says so, and not again for long.
            _ if resource.delta.is_some() => Sweep::Once,
            default => default,
        };
        let reads_all = resource.cursor.is_none() && table.deletes.sweep != Sweep::Never;
        table.may_lose_rows = reads_all || tombstones.is_some();
        resource.tombstones = tombstones;
    }
    Some(Flow {
        name,
        schedule: schedule.filter(|_| enabled),
        timeout,
        resume_within,
        accounts,
        for_each,
        connection: connection?,
        resource: resource?,
        table: table?,
    })
}

/// Reads whose records a flow reads.
fn accounts(item: &Item<'_>, written: Option<&Written>) -> Option<Accounts> {
    let expected = "\"all\", or an array of accounts such as [\"berlin\", \"paris\"]";
    if let Some(written) = written
        && !written.connection.has_accounts()
    {
        let name = &written.connection.name;
        let message = format!("`accounts`: nobody signs in to connection `{name}`");
        item.refuse(message, "a connection with a login, or no `accounts`");
    }
    if item.value.is_str() {
        return item.choice(&[("all", ())]).map(|()| Accounts::All);
    }
    let items = item.list(expected)?;
    if items.is_empty() {
        item.refuse("`accounts` is empty", expected);
    }
    let mut names = Vec::new();
    for item in &items {
        let Some(name) = item.parsed("the name of an account", Name::parse) else {
            continue;
        };
        if names.contains(&name) {
            item.refuse(format!("`accounts` names `{name}` twice"), "each once");
            continue;
        }
        names.push(name);
    }
    (!names.is_empty()).then_some(Accounts::These(names))
}

fn connection_of(item: &Item<'_>, connections: &Connections) -> Option<Name> {
    let wanted = item.text()?;
    if let Some((name, _)) = connections.get_key_value(wanted) {
        return Some(name.clone());
    }
    let known = || connections.keys().map(Name::as_str);
    let help = match nearest(wanted, known()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if connections.is_empty() => format!("add a [connection.{wanted}]"),
        None => format!("the connections are {}", listed(known())),
    };
    let problem = item.problem(format!("there is no connection {}", quoted(wanted)));
    item.findings.add(
        problem
            .label("expected the name of a connection")
            .help(help)
            .absence(),
    );
    None
}

/// Checks that the flow's URL can be made, and that it leads where the connection may go.
fn check_destination(flow: &Table<'_>, template: &str, connection: &Connection) {
    let Some(item) = flow.get("url") else { return };
    let name = &connection.name;
    let text = plain(template);
    let absolute = template.starts_with("http://") || template.starts_with("https://");
    let url = match &connection.base_url {
        _ if absolute => Url::parse(&text).map_err(|error| error.to_string()),
        Some(base) => below(base, &text),
        None if connection.base_url_template.is_some() => return,
        // Where a template stands first, it may bring the host.
        None if template.starts_with("{{") => return,
        None => {
            let problem = item.problem(format!(
                "`url` is relative, and connection `{name}` has no `base_url`"
            ));
            let help = format!("add a `base_url` to [connection.{name}]");
            return item
                .findings
                .add(problem.label("expected a whole URL").help(help));
        }
    };
    let url = match url {
        Ok(url) => url,
        Err(why) => return item.refuse(format!("`url` is no URL: {why}"), "a URL, or a path"),
    };
    let host = template
        .split("://")
        .nth(1)
        .and_then(|rest| rest.split(['/', '?']).next());
    if absolute && host.is_none_or(|host| !host.contains("{{")) {
        check_origin(&item, &url, connection);
    }
}

fn check_origin(item: &Item<'_>, url: &Url, connection: &Connection) {
    let allowed = connection.origins();
    let open = allowed.is_empty() && matches!(connection.auth, Auth::None);
    if !open && !allowed.contains(&url.origin()) {
        let name = &connection.name;
        let origin = url.origin().ascii_serialization();
        let message = format!("`url` leads to {origin}, which connection `{name}` does not name");
        let problem = item
            .problem(message)
            .label("expected a host that may be sent its token");
        let help = format!(
            "add `allow_hosts = [\"{origin}\"]` to [connection.{name}], or make it the `base_url`"
        );
        item.findings.add(problem.help(help));
    }
}

/// Returns a template's text with a digit in place of what is filled in later.
fn plain(template: &str) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        text.push_str(&rest[..start]);
        text.push('1');
        rest = rest[start..]
            .find("}}")
            .map_or("", |end| &rest[start + end + 2..]);
    }
    text + rest
}

/// Reports flows that would write one another's table.
pub(in crate::config) fn check_tables(written: &[(Item<'_>, Flow)]) {
    let mut owners: BTreeMap<String, &Name> = BTreeMap::new();
    for (item, flow) in written {
        let Some(owner) = owners.insert(flow.table.name.to_lowercase(), &flow.name) else {
            continue;
        };
        // The table's own name is the better place to point at, if it is written.
        let table = item.value.as_table().and_then(|table| table.get("table"));
        let at = table.map_or(item.key_at.clone(), |table| table.span());
        let message = format!(
            "flow `{}`: writes table `{}`, as flow `{owner}` does",
            flow.name, flow.table.name
        );
        item.findings.add(
            Problem::at(at, message)
                .label("expected a table of its own")
                .help("give one of them another `table`"),
        );
    }
}
