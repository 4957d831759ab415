//! A journal that Functions write while they run. It only grows.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Receives lines from Functions with its address in `JOURNAL`, on one connection per process, and acknowledges each line
/// once it is recorded. So a process without an open connection is dead.
pub struct Journal {
    address: String,
    entries: Arc<Mutex<Vec<Entry>>>,
    open: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Entry {
    task: String,
    what: What,
}

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A Task's code began.
    Began,
    /// It ended without throwing.
    Ended,
}

/// How often a Task's code started and how often it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    pub began: usize,
    /// Ended without throwing.
    pub ended: usize,
}

/// A Function that writes to the journal. Its `data` controls it: it takes `takes` milliseconds, throws in the first
/// `failures` runs of its chain, and returns `{n}`.
pub const KEEPER: &str = "
const net = require('node:net');
const [host, port] = process.env.JOURNAL.split(':');
const journal = net.connect({ host, port }).setNoDelay();
const answers = [];
journal.on('data', bytes => { for (const _ of bytes) answers.shift()(); });
const write = line => new Promise(done => { answers.push(done); journal.write(line + '\\n'); });
exports.handler = async ({ id, data, retryForTaskIds = [] }) => {
  await write('began ' + id);
  await new Promise(done => setTimeout(done, data.takes));
  if (retryForTaskIds.length < data.failures) throw Object.assign(new Error('as it was told'), { name: 'TOLD' });
  await write('ended ' + id);
  return { n: data.n };
};";

impl Journal {
    /// Opens an empty one on a free port.
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (entries, open) = (Arc::<Mutex<Vec<Entry>>>::default(), Arc::<AtomicUsize>::default());
        let (all, count) = (entries.clone(), open.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (all, count) = (all.clone(), count.clone());
                count.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    take_lines(&stream, &all);
                    count.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, entries, open }
    }

    /// Its address, for `JOURNAL`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The number of connected processes.
    pub fn processes(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// The number of lines.
    pub fn lines(&self) -> usize {
        self.entries.lock().unwrap().len()
    }

    /// What happened, in order: a Task, and whether its code began or ended.
    pub fn history(&self) -> Vec<(String, What)> {
        self.entries.lock().unwrap().iter().map(|Entry { task, what }| (task.clone(), *what)).collect()
    }

    /// The runs of each Task's code.
    pub fn runs(&self) -> BTreeMap<String, Runs> {
        let mut runs = BTreeMap::<String, Runs>::new();
        for Entry { task, what } in self.entries.lock().unwrap().iter() {
            let of_task = runs.entry(task.clone()).or_default();
            match what {
                What::Began => of_task.began += 1,
                What::Ended => of_task.ended += 1,
            }
        }
        runs
    }
}

fn take_lines(stream: &TcpStream, entries: &Mutex<Vec<Entry>>) {
    let mut answers = stream;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    // An incomplete line: its writer was killed, and nobody waits for the acknowledgement.
    while reader.read_line(&mut line).is_ok() && line.ends_with('\n') {
        let (what, task) = line.trim_end().split_once(' ').expect("a word and an id");
        let what = match what {
            "began" => What::Began,
            "ended" => What::Ended,
            other => panic!("a Function wrote '{other}'"),
        };
        entries.lock().unwrap().push(Entry { task: task.to_owned(), what });
        // The writer may have been killed meanwhile.
        let _ = answers.write_all(b".");
        line.clear();
    }
}
