//! The real program, as a person would run it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal};

/// The longest a test waits for one line of a program, or for its end.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a program ended, and what it said.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// What it answered.
    pub stdout: String,
    /// What it said besides.
    pub stderr: String,
}

impl Ran {
    /// Fails the test, showing everything, unless the program ended with `code`.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert!(
            self.code == Some(code),
            "expected exit code {code}, found {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.code,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Returns what it answered, as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON ({error}):\n{}", self.stdout))
    }

    /// Returns how the runs of a `--run-now --json` ended, by flow.
    #[track_caller]
    pub fn ended(&self) -> BTreeMap<String, serde_json::Value> {
        let events = self.stdout.lines().map(|line| {
            let event = serde_json::from_str::<serde_json::Value>(line);
            event.unwrap_or_else(|error| panic!("not JSON ({error}): {line}"))
        });
        let ended = events.filter(|event| event["event"] == "ended");
        ended
            .map(|event| (event["flow"].as_str().unwrap().to_owned(), event))
            .collect()
    }
}

/// A program under way. Killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    read: String,
    stderr: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts a program with pipes for all it reads and says.
    pub fn start(mut command: Command) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("could not start {command:?}: {error}"));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            // Ends when the program does, or when nobody listens any more.
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let stderr = thread::spawn(move || {
            let mut said = Vec::new();
            stderr.read_to_end(&mut said).unwrap();
            String::from_utf8_lossy(&said).into_owned()
        });
        Self {
            stdin: child.stdin.take(),
            child,
            lines,
            read: String::new(),
            stderr: Some(stderr),
        }
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, as a service manager does.
    pub fn terminate(&self) {
        let id = Pid::from_child(&self.child);
        rustix::process::kill_process(id, Signal::TERM).unwrap();
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("the input is still open");
        writeln!(stdin, "{line}").unwrap();
    }

    /// Waits for the first line of its answer that `is_wanted`.
    #[track_caller]
    pub fn wait_for_line(&mut self, is_wanted: impl Fn(&str) -> bool) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.keep(&line);
                    if is_wanted(&line) {
                        return line;
                    }
                }
                Err(why) => {
                    let ran = self.end();
                    panic!("the line did not come ({why}); {ran:#?}");
                }
            }
        }
    }

    /// Returns whether the program ends within `wait`.
    pub fn has_ended_within(&mut self, wait: Duration) -> bool {
        loop {
            // Its output closes when it ends, and wakes us.
            match self.lines.recv_timeout(wait) {
                Ok(line) => self.keep(&line),
                Err(RecvTimeoutError::Timeout) => return false,
                Err(RecvTimeoutError::Disconnected) => return true,
            }
        }
    }

    /// Closes its input and waits for its end.
    #[track_caller]
    pub fn finish(mut self) -> Ran {
        drop(self.stdin.take());
        assert!(
            self.has_ended_within(PATIENCE),
            "the program did not end: {:#?}",
            self.end()
        );
        self.end_by_itself()
    }

    /// Kills it as nothing can resist, and returns what it said until then.
    pub fn kill(mut self) -> Ran {
        self.end()
    }

    fn end(&mut self) -> Ran {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        self.has_ended_within(PATIENCE);
        self.end_by_itself()
    }

    fn end_by_itself(&mut self) -> Ran {
        let status = self.child.wait().unwrap();
        let stderr = self
            .stderr
            .take()
            .map(|reader| reader.join().unwrap())
            .unwrap_or_default();
        Ran {
            code: status.code(),
            stdout: std::mem::take(&mut self.read),
            stderr,
        }
    }

    fn keep(&mut self, line: &str) {
        self.read.push_str(line);
        self.read.push('\n');
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing to do for one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
