//! A flow as written.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Flow, resource, table, when};
use crate::config::Name;
use crate::config::connection::{Auth, Connection, Written};
use crate::config::keys;
use crate::config::reader::{Item, Table, listed, nearest, quoted};
use crate::config::report::Problem;

/// The longest a run may take unless the flow says otherwise; a first load of years fits.
const TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// What a run's time limit may be.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(7 * 86_400);

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
    let resource = resource::read(&flow, written);
    if let (Some(resource), Some(written)) = (&resource, written) {
        check_destination(&flow, resource.url.source(), &written.connection);
    }
    let table = table::read(&flow, &name);
    Some(Flow {
        name,
        schedule: schedule.filter(|_| enabled),
        timeout,
        connection: connection?,
        resource: resource?,
        table: table?,
    })
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

/// Checks that the flow's URL can be made, and that the token may go where it leads.
fn check_destination(flow: &Table<'_>, url: &str, connection: &Connection) {
    let Some(item) = flow.get("url") else { return };
    let absolute = url.starts_with("http://") || url.starts_with("https://");
    let Some(base) = &connection.base_url else {
        if !absolute && !url.starts_with("{{") {
            let message = format!(
                "`url` is relative, and connection `{}` has no `base_url`",
                connection.name
            );
            let problem = item.problem(message).label("expected a whole URL");
            item.findings.add(problem.help(format!(
                "add a `base_url` to [connection.{}]",
                connection.name
            )));
        }
        if absolute {
            check_origin(&item, url, connection);
        }
        return;
    };
    match absolute {
        true => check_origin(&item, url, connection),
        false => {
            if let Err(error) = base.join(&plain(url)) {
                item.refuse(
                    format!("`url` is no URL: {error}"),
                    "a path below `base_url`",
                );
            }
        }
    }
}

/// Checks that a token may be sent to the host an absolute URL names.
fn check_origin(item: &Item<'_>, text: &str, connection: &Connection) {
    let url = match url::Url::parse(&plain(text)) {
        Ok(url) => url,
        Err(error) => return item.refuse(format!("`url` is no URL: {error}"), "a URL"),
    };
    let host_ends = text.find("://").map_or(0, |at| at + 3);
    let host = text[host_ends..]
        .split(['/', '?'])
        .next()
        .unwrap_or_default();
    let secret = !matches!(connection.auth, Auth::None);
    if secret && !host.contains("{{") && !connection.origins().contains(&url.origin()) {
        let origin = url.origin().ascii_serialization();
        let name = &connection.name;
        let problem = item.problem(format!(
            "`url` leads to {origin}, where the token of connection `{name}` may not go"
        ));
        item.findings.add(
            problem
                .label(format!(
                    "expected a URL of the origins of connection `{name}`"
                ))
                .help(format!(
                    "add \"{origin}\" to `allow_hosts` of [connection.{name}] if it may"
                )),
        );
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
