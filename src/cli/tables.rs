//! `tidegate tables`: the tables, their columns and how many rows they have.

use super::{Exit, Failed, Output, print};
use crate::config::Config;
use crate::{merge, store};

pub(super) fn tables(config: &Config, output: Output) -> Result<Exit, Failed> {
    let connection = store::open_reader(&config.database, &store::DATA)?;
    let tables = merge::tables(&connection)?;
    if output.json {
        print::json(&tables);
        return Ok(Exit::Done);
    }
    let rows = tables.iter().map(|table| {
        let columns: Vec<String> = table.columns.iter().map(column).collect();
        vec![
            table.name.clone(),
            table.rows.to_string(),
            columns.join(", "),
        ]
    });
    print::table(&["TABLE", "ROWS", "COLUMNS"], rows.collect(), &[1]);
    print::line(&format!("\nin {}", config.database.display()));
    Ok(Exit::Done)
}

fn column(column: &merge::ColumnInfo) -> String {
    let kind = column.kind.as_ref().unwrap_or(&column.storage);
    format!("{} {}", column.name, kind.to_lowercase())
}
