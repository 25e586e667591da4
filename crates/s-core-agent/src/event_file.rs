//! A file of an agent's events, for an operator's tools.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::Duration;

use crate::event::Observer;
use crate::said::{EventLine, Said};

/// How many lines may wait for the disk; a token makes some ten in a second.
const MOST_WAITING: usize = 1024;
/// How long the end waits for what is not written yet.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Writes what an agent [says](Said) to the end of a file, an [`EventLine`] per event.
///
/// A thread of its own does so: the agent never waits for the disk. Lines that cannot be written, or wait while
/// 1024 others do, are lost; that is logged once, and once more when lines are written again. The file is opened anew
/// whenever there is something to write, so that it may be renamed or removed meanwhile. A line is there as a whole or not at all.
///
/// When it is dropped, what waits has a second to be written.
#[derive(Debug)]
pub struct EventFile {
    lines: Lines,
}

/// The way to the thread that writes.
#[derive(Clone, Debug)]
struct Lines {
    waiting: SyncSender<Message>,
    /// Whether the loss of lines was logged.
    lost: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Message {
    Line(String),
    /// Nothing follows; whoever waits for that is told.
    End(Sender<()>),
}

impl EventFile {
    /// Opens a file, or makes it; `-` is standard output.
    ///
    /// # Errors
    ///
    /// What the system says if there can be no such file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let target = if path == Path::new("-") {
            Target::Output
        } else {
            Target::File(path.to_owned())
        };
        target.put("")?;
        let (waiting, lines) = sync_channel(MOST_WAITING);
        let writer = Writer {
            target,
            failing: false,
        };
        thread::Builder::new()
            .name("events".into())
            .spawn(move || writer.work(&lines))?;
        let lost = Arc::default();
        Ok(Self {
            lines: Lines { waiting, lost },
        })
    }

    /// An observer that writes to it.
    pub fn observer(&self) -> Observer {
        let lines = self.lines.clone();
        Observer::new(move |_, event| {
            if let Some(said) = Said::of(event) {
                lines.say(said);
            }
        })
    }

    /// Writes something that is no event of a running agent: [`Said::Ready`].
    pub fn say(&self, said: Said) {
        self.lines.say(said);
    }
}

impl Drop for EventFile {
    fn drop(&mut self) {
        let (done, written) = channel();
        if self.lines.waiting.try_send(Message::End(done)).is_ok() {
            // In time or not: there is nothing else to do.
            let _ = written.recv_timeout(LAST_LINES);
        }
    }
}

impl Lines {
    fn say(&self, said: Said) {
        let line = format!("{}\n", EventLine::now(said));
        match self.waiting.try_send(Message::Line(line)) {
            Ok(()) => self.lost.store(false, Ordering::Relaxed),
            // The thread has ended with the file.
            Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                if !self.lost.swap(true, Ordering::Relaxed) {
                    tracing::warn!("events are lost: the disk takes them too slowly");
                }
            }
        }
    }
}

/// Where lines go.
#[derive(Debug)]
enum Target {
    Output,
    File(PathBuf),
}

impl Target {
    /// Adds whole lines, all or none as far as the file system lets it.
    fn put(&self, lines: &str) -> io::Result<()> {
        let path = match self {
            Self::Output => {
                let mut output = io::stdout().lock();
                return output
                    .write_all(lines.as_bytes())
                    .and_then(|()| output.flush());
            }
            Self::File(path) => path,
        };
        let mut file = File::options().create(true).append(true).open(path)?;
        let before = file.metadata()?.len();
        let written = file.write_all(lines.as_bytes());
        if written.is_err() && fs::metadata(path).is_ok_and(|found| found.is_file()) {
            // The next line is not to begin behind a half one.
            file.set_len(before)?;
        }
        written
    }
}

/// What the thread has.
#[derive(Debug)]
struct Writer {
    target: Target,
    failing: bool,
}

impl Writer {
    fn work(mut self, waiting: &Receiver<Message>) {
        while let Ok(first) = waiting.recv() {
            let mut lines = String::new();
            let mut end = None;
            for message in std::iter::once(first).chain(waiting.try_iter().take(MOST_WAITING)) {
                match message {
                    Message::Line(line) => lines += &line,
                    Message::End(done) => end = Some(done),
                }
            }
            let put = self.target.put(&lines);
            if let Some(news) = self.news(&put) {
                tracing::warn!("{news}");
            }
            if let Some(done) = end {
                // Nobody waits any more if this took too long.
                let _ = done.send(());
                return;
            }
        }
    }

    /// What is to be logged of an attempt to write.
    fn news(&mut self, put: &io::Result<()>) -> Option<String> {
        let before = std::mem::replace(&mut self.failing, put.is_err());
        match (before, put) {
            (false, Err(error)) => Some(format!("events cannot be written and are lost: {error}")),
            (true, Ok(())) => Some("events are written again".into()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(file: &Path) -> Vec<Said> {
        let text = fs::read_to_string(file).unwrap();
        let lines = text
            .lines()
            .map(|line| line.parse::<EventLine>().unwrap().said);
        lines.collect()
    }

    #[test]
    fn lines_are_added_also_where_the_file_was_renamed() {
        let directory = tempfile::tempdir().unwrap();
        let [path, old] = ["events", "events.1"].map(|name| directory.path().join(name));
        let trouble = |what: &str| Said::Trouble { what: what.into() };
        let file = EventFile::open(&path).unwrap();
        file.say(trouble("a"));
        drop(file);
        let file = EventFile::open(&path).unwrap();
        file.say(trouble("b"));
        drop(file);
        let file = EventFile::open(&path).unwrap();
        fs::rename(&path, &old).unwrap();
        file.say(trouble("c"));
        drop(file);
        assert_eq!(said(&old), [trouble("a"), trouble("b")]);
        assert_eq!(said(&path), [trouble("c")]);
    }

    #[test]
    fn a_file_that_cannot_be_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(EventFile::open(directory.path()).is_err());
        assert!(EventFile::open(&directory.path().join("none/events")).is_err());
    }

    #[test]
    fn a_full_disk_is_said_once_and_no_reason_to_wait() {
        let file = EventFile::open(Path::new("/dev/full")).unwrap();
        for _ in 0..10 * MOST_WAITING {
            file.say(Said::Ready);
        }
        drop(file);
        let target = Target::File("/dev/full".into());
        let mut writer = Writer {
            target,
            failing: false,
        };
        let full = writer.target.put("x\n");
        assert!(full.is_err());
        let news: Vec<_> = [&Ok(()), &full, &full, &Ok(()), &Ok(())]
            .into_iter()
            .filter_map(|put| writer.news(put))
            .collect();
        assert!(news[0].starts_with("events cannot be written"), "{news:?}");
        assert_eq!(news[1..], ["events are written again"]);
    }
}
