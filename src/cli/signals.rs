//! The signals that stop a process.

use std::{future::pending, io::Read as _};

use anyhow::Context as _;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

/// The signals.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    stdin_ended: Option<oneshot::Receiver<()>>,
}

impl Signals {
    pub(super) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        let (interrupt, terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, stdin_ended: None })
    }

    /// From now on, the end of stdin counts as a signal, too, once.
    pub(super) fn end_with_stdin(&mut self) {
        let (ended, stdin_ended) = oneshot::channel();
        self.stdin_ended = Some(stdin_ended);
        // A thread of its own, because reading stdin cannot be canceled, and a runtime waits for its threads.
        std::thread::spawn(move || {
            let mut stdin = std::io::stdin().lock();
            // What it says does not matter, and one that cannot be read has ended.
            while stdin.read(&mut [0; 256]).is_ok_and(|read| read > 0) {}
            let _ = ended.send(());
        });
    }

    pub(super) async fn next(&mut self) {
        let stdin_ended = async {
            match &mut self.stdin_ended {
                Some(ended) => {
                    let _ = ended.await;
                }
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = stdin_ended => self.stdin_ended = None,
        }
    }
}
