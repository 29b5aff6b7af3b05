//! Voters that fall silent: how long they delay finality, what counts without them, and that an
//! empty block is good for nothing else.

use ledger::apply::{Invalid, apply};
use ledger::block::{Ballot, Block, Body, Header, Record, VERSION};
use ledger::seal::seal;
use ledger::state::State;
use protocol::message::Finality;
use protocol::{Genesis, GroupId, KeyPair, NodeId, Signed, TariffId, UnixSeconds};

const BEGIN: u64 = 1_800_000_000;
const DORMANCY: u64 = 1_000;
const DISPUTE: u64 = 300;
const AWAKE: [u8; 2] = [1, 2];
const CROWD: [u8; 3] = [3, 4, 5];

fn key(seed: u8) -> KeyPair {
    KeyPair::from_seed(&[seed; 32])
}

/// A chain under way; times are seconds after its beginning.
#[derive(Clone)]
struct Chain {
    state: State,
    headers: Vec<Header>,
}

impl Chain {
    /// Block 1 at 0 s enrols the awake voters; block 2 at 0 s the crowd, for which block 3
    /// carries the awake ones' ballots. From block 3 on all five can vote.
    fn new() -> Self {
        let state = State::new(Genesis {
            provider_key: key(9).public(),
            time: UnixSeconds(BEGIN),
            interval_s: 60,
            witnesses: 8,
            dormancy_s: u32::try_from(DORMANCY).expect("small"),
            dispute_period_s: u32::try_from(DISPUTE).expect("small"),
            currency: "EUR".to_owned(),
            test: true,
        });
        let headers = Vec::new();
        let mut chain = Self { state, headers };
        chain.block(0, AWAKE.iter().flat_map(|n| enrolment(*n)).collect(), &[]);
        chain.block(0, CROWD.iter().flat_map(|n| enrolment(*n)).collect(), &[]);
        chain.block(0, Vec::new(), &AWAKE.map(|voter| (voter, 2)));
        assert_eq!(chain.reach(), (2, 2));
        chain
    }

    /// The next block, with ballots of (voter, height).
    fn block(&mut self, at: u64, records: Vec<Record>, ballots: &[(u8, usize)]) {
        self.try_block(at, records, ballots).expect("a valid block");
    }

    fn try_block(
        &mut self,
        at: u64,
        records: Vec<Record>,
        ballots: &[(u8, usize)],
    ) -> Result<(), Invalid> {
        let body = Body {
            records,
            ballots: ballots.iter().map(|(v, h)| self.ballot(*v, *h)).collect(),
            ..Body::default()
        };
        let time = UnixSeconds(BEGIN + at);
        let (block, next) = seal(&self.state, body, self.state.round + 1, time, &key(9))?;
        assert_eq!(apply(&self.state, &block).as_ref(), Ok(&next));
        self.state = next;
        self.headers.push(block.header.body);
        Ok(())
    }

    fn ballot(&self, voter: u8, height: usize) -> Signed<Ballot> {
        let ballot = Ballot {
            voter: GroupId(voter.into()),
            height: u64::try_from(height).expect("small"),
            header: self.headers[height - 1].hash(),
        };
        Signed::new(ballot, &key(voter), &self.state.chain_id())
    }

    /// A block of a record, whose height is told.
    fn content(&mut self, at: u64, ballots: &[(u8, usize)]) -> usize {
        let record = Record::Tariff {
            id: TariffId(self.state.tariff().0 + 1),
            document: format!("sealed {at} s after the beginning"),
        };
        self.block(at, vec![record], ballots);
        self.headers.len()
    }

    /// A block of a record that both awake voters confirm a second later.
    fn confirmed_content(&mut self, at: u64) -> usize {
        let height = self.content(at, &[]);
        self.block(at + 1, Vec::new(), &AWAKE.map(|voter| (voter, height)));
        height
    }

    /// What a bill says of the block at `height`.
    fn label(&self, height: usize, at: u64) -> Finality {
        let header = &self.headers[height - 1];
        self.state.finality(header, UnixSeconds(BEGIN + at))
    }

    fn empty(&mut self, at: u64) -> Result<(), Invalid> {
        self.try_block(at, Vec::new(), &[])
    }

    /// Height of the newest final block, and of the newest confirmed by more than half of all.
    fn reach(&self) -> (usize, usize) {
        let height = |height| usize::try_from(height).expect("small");
        (
            height(self.state.final_height),
            height(self.state.confirmed_height),
        )
    }

    /// No empty block is valid before `at`, and the one at `at` makes `height` final without the
    /// dormant.
    #[track_caller]
    fn check_final_at(&mut self, height: usize, at: u64) {
        let (before, confirmed) = self.reach();
        assert!(before < height, "it is not final yet");
        assert_eq!(self.empty(at - 1), Err(Invalid::Empty));
        assert_eq!(self.empty(at), Ok(()));
        assert_eq!(self.reach(), (height, confirmed));
    }
}

fn enrolment(n: u8) -> [Record; 2] {
    let node = NodeId(n.into());
    [
        Record::EnrolNode {
            node,
            key: key(n).public(),
        },
        Record::EnrolGroup {
            group: GroupId(n.into()),
            parent: node,
        },
    ]
}

#[test]
fn a_silent_crowd_delays_finality_until_it_is_dormant_and_no_longer() {
    let mut chain = Chain::new();
    let height = chain.confirmed_content(10);
    assert_eq!(chain.reach(), (2, 2), "two of five are not enough");
    chain.check_final_at(height, DORMANCY);
}

#[test]
fn what_a_dormant_crowd_does_not_confirm_waits_for_the_dispute_period_and_no_longer() {
    let mut chain = Chain::new();
    let sealed = 5 * DORMANCY;
    let height = chain.confirmed_content(sealed);
    chain.check_final_at(height, sealed + DISPUTE);
}

#[test]
fn a_silent_minority_delays_nothing() {
    let mut chain = Chain::new();
    let height = chain.content(10, &[]);
    let majority = [(1, height), (2, height), (3, height)];
    chain.block(11, Vec::new(), &majority);
    assert_eq!(chain.reach(), (height, height));
}

#[test]
fn a_dormant_voters_ballot_brings_it_back_into_the_denominator() {
    let mut chain = Chain::new();
    let sealed = 5 * DORMANCY;
    let height = chain.confirmed_content(sealed);
    let mut silent = chain.clone();
    silent.check_final_at(height, sealed + DISPUTE);
    // The crowd says yes to the block before only: it is awake, and has not confirmed this one.
    let back = sealed + 20;
    chain.block(back, Vec::new(), &CROWD.map(|voter| (voter, height - 1)));
    assert_eq!(chain.reach(), (height - 1, 2));
    chain.check_final_at(height, back + DORMANCY);
}

#[test]
fn a_later_full_majority_confirms_what_was_final_without_the_dormant() {
    let mut chain = Chain::new();
    let height = chain.confirmed_content(10);
    chain.check_final_at(height, DORMANCY);
    let newest = chain.headers.len();
    // One more of five is more than half.
    let ballots = [(1, newest), (2, newest), (3, newest)];
    assert_eq!(chain.label(height, DORMANCY), Finality::FinalAfterDormancy);
    chain.block(DORMANCY + 1, Vec::new(), &ballots);
    assert_eq!(chain.reach(), (newest, newest));
    assert_eq!(chain.label(height, DORMANCY), Finality::Final);
}

#[test]
fn half_of_those_awake_is_not_more_than_half() {
    let mut chain = Chain::new();
    let sealed = 5 * DORMANCY;
    let height = chain.content(sealed, &[(1, 3), (2, 3)]);
    chain.block(sealed + 1, Vec::new(), &[(1, height)]);
    assert_eq!(chain.empty(sealed + DISPUTE), Err(Invalid::Empty));
    // The other one falls silent, too.
    chain.check_final_at(height, sealed + DORMANCY);
}

#[test]
fn what_nobody_confirmed_is_never_final() {
    let mut chain = Chain::new();
    let height = chain.content(10, &[]);
    assert_eq!(chain.label(height, 10 + DISPUTE - 1), Finality::Pending);
    assert_eq!(chain.label(height, 10 + DISPUTE), Finality::Unconfirmed);
    let late = 1_000 * DORMANCY;
    assert_eq!(chain.empty(late), Err(Invalid::Empty));
    assert_eq!(chain.label(height, late), Finality::Unconfirmed);
}

#[test]
fn a_yes_counts_also_when_its_voter_has_fallen_silent_since() {
    let mut chain = Chain::new();
    let height = chain.confirmed_content(10);
    assert_eq!(chain.empty(100 * DORMANCY), Ok(()));
    assert_eq!(chain.reach(), (height, 2));
}

#[test]
fn voters_that_came_later_do_not_count_for_a_block() {
    let mut chain = Chain::new();
    let height = chain.confirmed_content(10);
    chain.block(20, (6..=8).flat_map(enrolment).collect(), &[]);
    // They are not dormant yet, and more than those that are awake.
    chain.check_final_at(height, DORMANCY);
}

#[test]
fn an_empty_block_that_makes_nothing_final_is_invalid() {
    let mut chain = Chain::new();
    let height = chain.confirmed_content(10);
    let forged = |chain: &Chain, at: u64| apply(&chain.state, &empty_block(&chain.state, at));
    assert_eq!(forged(&chain, 20), Err(Invalid::Empty));
    chain.check_final_at(height, DORMANCY);
    assert_eq!(forged(&chain, DORMANCY + 1), Err(Invalid::Empty));
}

#[test]
fn an_empty_block_before_the_first_voter_is_invalid() {
    // It would be final by itself, and so would any number of them.
    let empty = State::new(Chain::new().state.genesis);
    let refused = apply(&empty, &empty_block(&empty, 60));
    assert_eq!(refused, Err(Invalid::Empty));
}

/// An empty block as a provider without [`seal`] would sign it.
fn empty_block(state: &State, at: u64) -> Block {
    let body = Body::default();
    let header = Header {
        version: VERSION,
        height: state.height + 1,
        previous: state.tip,
        round: state.round + 1,
        time: UnixSeconds(BEGIN + at),
        body_root: body.root(),
        state_root: state.root(),
        log_root: state.log.root(),
        charges: 0,
        group_blocks: 0,
        records: 0,
        ballots: 0,
    };
    let header = Signed::new(header, &key(9), &state.chain_id());
    Block { header, body }
}
