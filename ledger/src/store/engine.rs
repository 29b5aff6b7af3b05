//! One thread that owns a machine and its store: takes what queued up, syncs once, then acts.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use protocol::UnixMillis;

use super::{Machine, Store, StoreError, Watch, Write, drive};

/// Messages that may wait; whoever sends one more waits until there is room.
const QUEUE: usize = 4_096;
/// Messages taken into one sync at most.
const BATCH: usize = 1_000;
/// How often the machine gets a tick, at least.
const TICK_MS: u64 = 1_000;

type Done = Box<dyn FnOnce() + Send>;
type Look<M> = Box<dyn FnOnce(&M, &Store) + Send>;

enum Message<M: Machine> {
    Input(M::Input),
    Durable {
        writes: Vec<Write>,
        inputs: Vec<M::Input>,
        done: Done,
    },
    Look(Look<M>),
    Stop,
}

/// What the engine asks of the shell around it.
pub trait Surroundings<M: Machine>: Send + 'static {
    /// The wall clock, corrected where the shell knows better.
    fn now(&self) -> UnixMillis;

    /// The input that says that time passed.
    fn tick(&self) -> M::Input;

    /// When the effect asks to be woken.
    fn wake_at(&self, effect: &M::Effect) -> Option<UnixMillis>;

    /// Carries an effect out. Must not block: a slow peer's queue overflows, the engine goes on.
    fn carry_out(&mut self, store: &Store, effect: M::Effect);
}

/// A handle to a running engine; clones share it.
pub struct Engine<M: Machine> {
    sender: SyncSender<Message<M>>,
}

impl<M: Machine> Clone for Engine<M> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
        }
    }
}

impl<M: Machine> std::fmt::Debug for Engine<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

/// The engine has stopped; its thread tells why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine has stopped")]
pub struct Stopped;

/// The engine's thread: gives the machine's last error, if it died of one.
pub type EngineThread = JoinHandle<Result<(), StoreError>>;

impl<M> Engine<M>
where
    M: Machine + Send + 'static,
    M::Input: Send,
{
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system's, where it has no thread left.
    pub fn start(
        machine: M,
        store: Arc<Store>,
        surroundings: impl Surroundings<M>,
        watch: Arc<dyn Watch>,
    ) -> std::io::Result<(Self, EngineThread)> {
        let (sender, receiver) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || run(machine, &store, surroundings, &receiver, &*watch))?;
        Ok((Self { sender }, thread))
    }

    /// Gives the machine an input.
    ///
    /// # Errors
    /// `Stopped`
    pub fn input(&self, input: M::Input) -> Result<(), Stopped> {
        self.send(Message::Input(input))
    }

    /// Makes `writes` durable together with what the machine stores for `inputs`; then `done`.
    ///
    /// # Errors
    /// `Stopped`; `done` is dropped without being called then.
    pub fn durably(
        &self,
        writes: Vec<Write>,
        inputs: Vec<M::Input>,
        done: impl FnOnce() + Send + 'static,
    ) -> Result<(), Stopped> {
        self.send(Message::Durable {
            writes,
            inputs,
            done: Box::new(done),
        })
    }

    /// Looks at the machine and its store between two batches.
    ///
    /// # Errors
    /// `Stopped`; `look` is dropped without being called then.
    pub fn look(&self, look: impl FnOnce(&M, &Store) + Send + 'static) -> Result<(), Stopped> {
        self.send(Message::Look(Box::new(look)))
    }

    /// Stops the engine after what is queued.
    pub fn stop(&self) {
        // One that has stopped already needs no second stop.
        let _ = self.send(Message::Stop);
    }

    fn send(&self, message: Message<M>) -> Result<(), Stopped> {
        self.sender.send(message).map_err(|_| Stopped)
    }
}

fn run<M: Machine, S: Surroundings<M>>(
    mut machine: M,
    store: &Store,
    mut surroundings: S,
    receiver: &Receiver<Message<M>>,
    watch: &dyn Watch,
) -> Result<(), StoreError> {
    let mut alarm = surroundings.now().plus_ms(TICK_MS);
    loop {
        let mut batch = Batch::default();
        // Messages must not keep the tick away, nor a clock that was set back.
        alarm = alarm.min(surroundings.now().plus_ms(TICK_MS));
        let pause = Duration::from_millis(alarm.since_ms(surroundings.now()));
        let is_time = match receiver.recv_timeout(pause) {
            Ok(message) => {
                batch.take(message);
                false
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        while batch.size() < BATCH
            && let Ok(message) = receiver.try_recv()
        {
            batch.take(message);
        }
        if is_time || alarm <= surroundings.now() {
            alarm = surroundings.now().plus_ms(TICK_MS);
            batch.inputs.push(surroundings.tick());
        }
        let now = surroundings.now();
        let effects = drive(&mut machine, store, now, batch.inputs, batch.writes, watch)?;
        for done in batch.done {
            watch.sending();
            done();
        }
        for effect in effects {
            match surroundings.wake_at(&effect) {
                Some(at) => alarm = alarm.min(at),
                None => {
                    watch.sending();
                    surroundings.carry_out(store, effect);
                }
            }
        }
        for look in batch.looks {
            look(&machine, store);
        }
        if batch.is_last {
            return Ok(());
        }
    }
}

/// What one sync covers.
struct Batch<M: Machine> {
    inputs: Vec<M::Input>,
    writes: Vec<Write>,
    done: Vec<Done>,
    looks: Vec<Look<M>>,
    is_last: bool,
}

impl<M: Machine> Default for Batch<M> {
    fn default() -> Self {
        Self {
            inputs: Vec::new(),
            writes: Vec::new(),
            done: Vec::new(),
            looks: Vec::new(),
            is_last: false,
        }
    }
}

impl<M: Machine> Batch<M> {
    fn take(&mut self, message: Message<M>) {
        match message {
            Message::Input(input) => self.inputs.push(input),
            Message::Durable {
                writes,
                inputs,
                done,
            } => {
                self.writes.extend(writes);
                self.inputs.extend(inputs);
                self.done.push(done);
            }
            Message::Look(look) => self.looks.push(look),
            Message::Stop => self.is_last = true,
        }
    }

    fn size(&self) -> usize {
        self.inputs.len() + self.done.len() + self.looks.len()
    }
}
