//! A house with one plain API behind a token that never changes, whose every answer a test writes.

use crate::support::{Asked, Ran, Scripted, TempHouse};

/// The token that the API wants.
pub(crate) const TOKEN: &str = "shop-token-1b9f0c";

/// The house and the API.
pub(crate) struct Shop {
    pub(crate) house: TempHouse,
    pub(crate) api: Scripted,
}

impl Shop {
    /// Moves in beside an API that answers so. `paging` is the connection's.
    pub(crate) fn new(
        paging: &str,
        answer: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let api = Scripted::start(answer);
        let house = TempHouse::new(&Self::config(&api.url, paging));
        house.write_private("shop-token", TOKEN);
        Self { house, api }
    }

    pub(crate) fn config(base_url: &str, paging: &str) -> String {
        format!(
            r#"
[connection.shop]
base_url = "{base_url}"
token = {{ file = "shop-token" }}
paging = "{paging}"

[flow.order]
connection = "shop"
every = "1h"
url = "/orders"
key = ["id"]
"#
        )
    }

    /// Runs everything once, while time passes.
    pub(crate) fn run(&self) -> Ran {
        self.house.run_as_time_passes(&["--run-now"])
    }

    /// Returns how many rows the table has; none if there is no table.
    pub(crate) fn rows(&self) -> usize {
        let tables = "SELECT 1 FROM sqlite_schema WHERE name = 'order'";
        if self.house.rows(tables).is_empty() {
            return 0;
        }
        self.house.rows(r#"SELECT 1 FROM "order""#).len()
    }
}
