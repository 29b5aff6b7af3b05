use std::sync::{Arc, Mutex};

use super::*;
use crate::v16::charge_point::MemoryJournal;

type Picture = Vec<(u64, String)>;

/// A journal that keeps a picture of itself after every change: what a disk may hold after a crash.
#[derive(Clone, Default)]
struct Pictured {
    journal: MemoryJournal,
    pictures: Arc<Mutex<Vec<Picture>>>,
}

impl Pictured {
    async fn take_picture(&mut self) -> Result<(), JournalError> {
        let entries = self.journal.load().await?;
        self.pictures.lock().expect("no panic").push(entries);
        Ok(())
    }
}

impl Journal for Pictured {
    async fn append(&mut self, entry: String) -> Result<u64, JournalError> {
        let id = self.journal.append(entry).await?;
        self.take_picture().await?;
        Ok(id)
    }

    async fn load(&mut self) -> Result<Vec<(u64, String)>, JournalError> {
        self.journal.load().await
    }

    async fn remove(&mut self, id: u64) -> Result<(), JournalError> {
        self.journal.remove(id).await?;
        self.take_picture().await
    }
}

async fn restored(picture: &[(u64, String)]) -> Queue<MemoryJournal> {
    let mut journal = MemoryJournal::default();
    for (_, entry) in picture {
        journal.append(entry.clone()).await.expect("memory");
    }
    Queue::load(journal).await.expect("our own entries")
}

fn at(minute: u64) -> UnixMillis {
    UnixMillis(1_700_000_000_000 + minute * 60_000)
}

fn start(charge: u64) -> Entry {
    Entry::Start {
        charge: ChargeKey(charge),
        connector: 1,
        id_tag: IdTag::parse("TAG-1").expect("printable ASCII"),
        at: at(0),
        register: EnergyWh(10_000),
    }
}

fn stop(charge: u64) -> Entry {
    Entry::Stop {
        charge: ChargeKey(charge),
        id_tag: None,
        at: at(10),
        register: EnergyWh(11_000),
        reason: StopReason::Local,
        detail: Vec::new(),
    }
}

fn reading(minute: u64) -> Observation {
    Observation {
        at: at(minute),
        register: Some(EnergyWh(10_000 + minute)),
        power: None,
    }
}

/// One word for each thing that still has to be said, with `known` where the id is there.
async fn left(mut queue: Queue<MemoryJournal>) -> String {
    let mut words = Vec::new();
    while let Some(head) = queue.head() {
        let charge = head.charge();
        words.push(match head {
            Entry::Start { .. } => "start",
            Entry::Known { .. } => "known",
            Entry::Meter { .. } => "meter",
            Entry::Stop { .. } => "stop",
        });
        if queue.transaction_id(charge).is_some() {
            words.push("(known)");
        }
        queue.drop_head().await.expect("memory");
    }
    if !queue.running.is_empty() {
        words.push("running");
    }
    words.join(" ")
}

#[tokio::test]
async fn a_crash_at_any_moment_repeats_nothing_confirmed_and_loses_nothing() {
    let journal = Pictured::default();
    let mut queue = Queue::load(journal.clone()).await.expect("empty");
    queue.push(start(1)).await.expect("memory");
    queue.sample(1, reading(5), 60_000).await.expect("memory");
    queue.confirm_start(7).await.expect("memory");
    queue.drop_head().await.expect("memory");
    queue.push(stop(1)).await.expect("memory");
    queue.drop_head().await.expect("memory");

    let pictures = journal.pictures.lock().expect("no panic").clone();
    let mut found = Vec::new();
    for picture in &pictures {
        found.push(left(restored(picture).await).await);
    }
    let expected = [
        "start running",
        "start meter running",
        // Known is written, the start not yet dropped.
        "meter (known) running",
        "meter (known) running",
        "running",
        "stop (known)",
        // The stop is confirmed: without its id it cannot be said again.
        "stop",
        "",
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_stop_that_waits_before_its_start_is_confirmed_ends_the_charge_after_a_restart_too() {
    let journal = MemoryJournal::default();
    let mut queue = Queue::load(journal.clone()).await.expect("empty");
    queue.push(start(1)).await.expect("memory");
    queue.push(stop(1)).await.expect("memory");
    queue.confirm_start(7).await.expect("memory");
    let again = Queue::load(journal).await.expect("our own entries");
    assert_eq!(left(again).await, "stop (known)");
}

#[tokio::test]
async fn samples_keep_their_distance_and_belong_to_a_running_charge() {
    let mut queue = Queue::load(MemoryJournal::default()).await.expect("empty");
    queue.sample(1, reading(1), 60_000).await.expect("memory");
    queue.push(start(1)).await.expect("memory");
    for (connector, minute) in [(1, 0), (2, 4), (1, 2), (1, 2), (1, 1), (1, 5)] {
        let interval_ms = 120_000;
        queue
            .sample(connector, reading(minute), interval_ms)
            .await
            .expect("memory");
    }
    queue.push(stop(1)).await.expect("memory");
    queue.sample(1, reading(20), 60_000).await.expect("memory");
    assert_eq!(left(queue).await, "start meter meter stop");
}

#[tokio::test]
async fn a_damaged_entry_stops_the_start() {
    let mut journal = MemoryJournal::default();
    let written = journal.append(r#"{"Levitate":{}}"#.to_owned()).await;
    let outcome = Queue::load(journal).await.map(|_| ());
    assert!(
        matches!(outcome, Err(JournalError::Unreadable { id, .. }) if Some(id) == written.ok())
    );
}
