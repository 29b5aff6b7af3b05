//! What a chain begins with, and the proof of both keys when a link opens.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::crypto::{Domain, Hash, KeyPair, PublicKey, Signature, SignatureError};
use crate::signed::canonical;
use crate::time::{UnixMillis, UnixSeconds};

/// The parameters of a chain. They never change; their hash is the chain's name.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Genesis {
    /// The provider's key at the beginning.
    pub provider_key: PublicKey,
    /// When the chain began; round 0 begins here.
    pub time: UnixSeconds,
    /// Length of a round in seconds.
    pub interval_s: u32,
    /// How many groups other than the payer's witness a profile.
    pub witnesses: u8,
    /// How long a voter may be silent, in seconds of header time, and still count.
    pub dormancy_s: u32,
    /// How long a block stays open to the silent, in seconds of header time, before it may be final
    /// without them.
    pub dispute_period_s: u32,
    /// ISO 4217 code of every amount.
    pub currency: String,
    /// Whether simulated meters may be billed: a chain for tests and demos.
    pub test: bool,
}

impl Genesis {
    /// How long a voter may be silent where nobody decides otherwise: 30 days.
    pub const DORMANCY_S: u32 = 30 * 24 * 3600;
    /// How long a block stays open where nobody decides otherwise: 7 days.
    pub const DISPUTE_PERIOD_S: u32 = 7 * 24 * 3600;

    /// The chain's name. It covers every parameter, so that none can be told differently to
    /// different nodes.
    #[must_use]
    pub fn chain_id(&self) -> Hash {
        Hash::of_parts(&[b"charge-billing.v1 chain", &canonical(self)])
    }

    /// The round that `now` lies in; 0 before the chain began.
    #[must_use]
    pub fn round_at(&self, now: UnixMillis) -> u64 {
        now.since_ms(self.time.millis()) / self.interval_ms()
    }

    /// The moment `round` begins.
    #[must_use]
    pub fn round_start(&self, round: u64) -> UnixMillis {
        self.time
            .millis()
            .plus_ms(round.saturating_mul(self.interval_ms()))
    }

    /// How long after a round's end the provider waits for group blocks, in milliseconds: a fifth
    /// of the round, and no longer than ten seconds.
    #[must_use]
    pub fn group_block_grace_ms(&self) -> u64 {
        (self.interval_ms() / 5).min(10_000)
    }

    /// How long after a round's end a parent waits for the last charges before it seals, in
    /// milliseconds: early enough that its group block arrives within the grace.
    #[must_use]
    pub fn group_block_delay_ms(&self) -> u64 {
        self.group_block_grace_ms() / 4
    }

    /// Length of a round in milliseconds; at least one second.
    #[must_use]
    pub fn interval_ms(&self) -> u64 {
        u64::from(self.interval_s.max(1)) * 1000
    }

    /// Whether a voter whose last ballot came at `last_ballot` is dormant at `at`, both in header
    /// time.
    #[must_use]
    pub fn is_dormant(&self, last_ballot: UnixSeconds, at: UnixSeconds) -> bool {
        last_ballot.0.saturating_add(self.dormancy_s.into()) <= at.0
    }

    /// Whether the dispute period of a block sealed at `sealed` is over at `at`, both in header
    /// time.
    #[must_use]
    pub fn is_dispute_over(&self, sealed: UnixSeconds, at: UnixSeconds) -> bool {
        sealed.0.saturating_add(self.dispute_period_s.into()) <= at.0
    }
}

/// The two nonces of a link; each side signs them together with the other's key.
///
/// On a link between two nodes the one that is called stands in the provider's place, and both
/// sign under [`Domain::CallingNode`] and [`Domain::CalledNode`]: no proof made on one kind of link
/// is valid on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Random bytes of the node that called.
    pub node_nonce: Hash,
    /// Random bytes of the provider, or of the node that was called.
    pub provider_nonce: Hash,
}

impl Challenge {
    /// Signs the challenge for `peer`: `domain` is `NodeHello` for a node, `ProviderHello` for the
    /// provider.
    #[must_use]
    pub fn sign(
        &self,
        domain: Domain,
        key: &KeyPair,
        chain_id: &Hash,
        peer: &PublicKey,
    ) -> Signature {
        key.sign(domain, chain_id, &self.bytes(peer))
    }

    /// Checks `signer`'s proof, made for us, whose key is `peer`.
    ///
    /// # Errors
    /// `WeakKey` or `Mismatch`.
    pub fn verify(
        &self,
        domain: Domain,
        signer: &PublicKey,
        chain_id: &Hash,
        peer: &PublicKey,
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        signer.verify(domain, chain_id, &self.bytes(peer), signature)
    }

    fn bytes(&self, peer: &PublicKey) -> Vec<u8> {
        [self.node_nonce.0, self.provider_nonce.0, peer.0].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn genesis() -> Genesis {
        Genesis {
            provider_key: PublicKey([0; 32]),
            time: UnixSeconds(1_000),
            interval_s: 900,
            witnesses: 8,
            dormancy_s: 100,
            dispute_period_s: 20,
            currency: "EUR".to_owned(),
            test: true,
        }
    }

    #[test]
    fn silence_and_dispute_end_with_their_last_second() {
        let (genesis, then) = (genesis(), UnixSeconds(5_000));
        assert!(!genesis.is_dormant(then, UnixSeconds(5_099)));
        assert!(genesis.is_dormant(then, UnixSeconds(5_100)));
        assert!(!genesis.is_dispute_over(then, UnixSeconds(5_019)));
        assert!(genesis.is_dispute_over(then, UnixSeconds(5_020)));
    }

    #[test]
    fn rounds_follow_each_other_without_a_gap() {
        let genesis = genesis();
        let begin = genesis.round_start(3);
        assert_eq!(genesis.round_at(begin), 3);
        assert_eq!(genesis.round_at(UnixMillis(begin.0 - 1)), 2);
        assert_eq!(genesis.round_at(UnixMillis(0)), 0);
    }

    #[test]
    fn a_proof_for_one_peer_is_none_for_another() {
        let key = KeyPair::from_seed(&[1; 32]);
        let peer = KeyPair::from_seed(&[2; 32]).public();
        let challenge = Challenge {
            node_nonce: Hash([3; 32]),
            provider_nonce: Hash([4; 32]),
        };
        let proof = challenge.sign(Domain::NodeHello, &key, &Hash::ZERO, &peer);
        let check = |peer: &PublicKey| {
            challenge.verify(Domain::NodeHello, &key.public(), &Hash::ZERO, peer, &proof)
        };
        assert_eq!(check(&peer), Ok(()));
        assert_eq!(check(&key.public()), Err(SignatureError::Mismatch));
    }
}
