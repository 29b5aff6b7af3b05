//! Provider and gateways are killed wherever they can be: before and after each sync, before each
//! thing they send, then at random. What must hold at the end is in [`books`], what happens in [`scene`].

mod books;
mod plan;
mod scene;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use plan::{Plan, Random};
use scene::{Ending, FLEET, HOUSEHOLD, PROVIDER, Scene};

/// Scenes at once: they wait for rounds most of the time.
const WORKERS: usize = 12;
/// Failed scenes that tell what there is to tell.
const ENOUGH: usize = 3;
/// How many random runs `cargo xtask prove` wants.
const RUNS: &str = "CHARGE_GATEWAY_KILL_RUNS";
/// Random runs where nobody says how many.
const FEW_RUNS: u64 = 12;

#[test]
fn the_provider_dies_around_every_sync_and_before_everything_it_sends() {
    everywhere(PROVIDER, Ending::Linked);
}

#[test]
fn the_measuring_gateway_dies_around_every_sync_and_before_everything_it_sends() {
    everywhere(HOUSEHOLD, Ending::Linked);
}

#[test]
fn the_measuring_gateway_dies_likewise_while_its_charges_end_without_the_provider() {
    everywhere(HOUSEHOLD, Ending::Unlinked);
}

#[test]
fn the_payers_gateway_dies_around_every_sync_and_before_everything_it_sends() {
    everywhere(FLEET, Ending::Linked);
}

#[test]
fn all_of_them_die_at_random_points_again_and_again() {
    let runs = match std::env::var(RUNS) {
        Ok(text) => text.parse().expect("a number of runs"),
        Err(_) => FEW_RUNS,
    };
    let plan = |seed| (format!("seed {seed}"), Plan::Random(Random::new(seed)));
    let all = [PROVIDER, FLEET, HOUSEHOLD];
    let killed = play((1..=runs).map(plan).collect(), Ending::Linked, &all);
    println!("{runs} random runs, in {killed} of them somebody was killed");
}

/// Kills `victim` once at each of its points. How many there are, a run without kills tells.
fn everywhere(victim: &'static str, ending: Ending) {
    let mut scene = Scene::new(Plan::Count, ending);
    scene.play();
    let (syncs, sends) = scene.points(victim);
    assert!(syncs > 3 && sends > 3, "{syncs} syncs, {sends} sends");
    let once = |crash: String| {
        let plan = Plan::Once {
            victim,
            crash: Some(crash.clone()),
        };
        (format!("{victim} {crash}"), plan)
    };
    let before_syncs = (1..=syncs).map(|n| format!("before-sync:{n}"));
    let after_syncs = (1..=syncs).map(|n| format!("after-sync:{n}"));
    let before_sends = (1..=sends).map(|n| format!("before-send:{n}"));
    let plans: Vec<_> = before_syncs
        .chain(after_syncs)
        .chain(before_sends)
        .map(once)
        .collect();
    let all = plans.len();
    let killed = play(plans, ending, &[victim]);
    println!("{victim}: {syncs} syncs, {sends} sends, killed in {killed} of {all} runs");
    // The points of a run depend on its timing: its last ones another run may not reach.
    assert!(killed * 4 >= all * 3, "killed in {killed} of {all} runs");
}

/// Plays a scene for each plan, several at once, and tells in how many one of `victims` was killed.
fn play(plans: Vec<(String, Plan)>, ending: Ending, victims: &[&str]) -> usize {
    let (next, killed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failed = Mutex::new(Vec::new());
    let work = || {
        while let Some((name, plan)) = plans.get(next.fetch_add(1, Ordering::Relaxed)) {
            if failed.lock().expect("no holder panics").len() >= ENOUGH {
                return;
            }
            let begun = Instant::now();
            let played = catch_unwind(AssertUnwindSafe(|| {
                let mut scene = Scene::new(plan.clone(), ending);
                scene.play();
                victims.iter().any(|victim| scene.starts(victim) > 1)
            }));
            println!("{name}: {:.1} s", begun.elapsed().as_secs_f64());
            match played {
                Ok(true) => _ = killed.fetch_add(1, Ordering::Relaxed),
                Ok(false) => {}
                Err(_) => failed.lock().expect("no holder panics").push(name.clone()),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().expect("no holder panics");
    assert!(failed.is_empty(), "what must hold does not: {failed:?}");
    killed.into_inner()
}
