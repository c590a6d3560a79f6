//! The service under a service manager: it says when it is ready, how it is, and that it stops.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use support::{Scripted, TempHouse, json};

/// How long the service may take to say something, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a service manager listens.
struct Manager(UnixDatagram);

impl Manager {
    fn of(house: &mut TempHouse) -> Self {
        let path = house.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        house.set_env("NOTIFY_SOCKET", path.to_str().unwrap());
        Self(socket)
    }

    /// Waits for a message that `is_wanted`, and returns it.
    fn hears(&self, is_wanted: impl Fn(&str) -> bool) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = self
                .0
                .recv(&mut buffer)
                .expect("the service said nothing in time");
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if is_wanted(&message) {
                return message;
            }
        }
    }
}

#[test]
fn the_service_tells_its_manager_that_it_is_ready_how_it_is_and_that_it_stops() {
    let server = Scripted::start(|_| json(r#"[{"id": 1}]"#));
    let mut house = TempHouse::new(&format!(
        r#"
        [connection.source]
        base_url = "{}"

        [flow.thing]
        connection = "source"
        url        = "/things"
        paging     = "none"
        key        = ["id"]
        "#,
        server.url
    ));
    let manager = Manager::of(&mut house);
    let service = house.start(&[]);
    manager.hears(|message| message.contains("READY=1"));
    // Ready means that a second process is answered.
    house.run(&["--run-now"]).expect_code(0);
    let status = manager.hears(|message| message.contains("STATUS="));
    assert!(status.contains("nothing has run yet: 1 flow"), "{status}");

    let process = i32::try_from(service.id()).unwrap();
    let process = rustix::process::Pid::from_raw(process).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    manager.hears(|message| message.contains("STOPPING=1"));
    service.finish().expect_code(0);
}
