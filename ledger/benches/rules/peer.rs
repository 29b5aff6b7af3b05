//! The least that any implementation has to do: bare Ed25519, with parsed keys and nothing else.

use std::time::Duration;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::clock;

/// Signatures of different keys over different digests.
pub(crate) struct Signatures {
    key: SigningKey,
    signed: Vec<([u8; 32], VerifyingKey, Signature)>,
}

impl Signatures {
    pub(crate) fn new(count: usize) -> Self {
        let sign = |number: usize| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_le_bytes());
            // As many keys as a round has groups: they stay in no cache either.
            digest[8..10].copy_from_slice(&(number % 1_000).to_le_bytes()[..2]);
            let mut seed = [7; 32];
            seed[..2].copy_from_slice(&digest[8..10]);
            let key = SigningKey::from_bytes(&seed);
            (digest, key.verifying_key(), key.sign(&digest))
        };
        Self {
            key: SigningKey::from_bytes(&[9; 32]),
            signed: (0..count).map(sign).collect(),
        }
    }

    /// Checks each signature strictly.
    pub(crate) fn check(&self) {
        for (digest, key, signature) in &self.signed {
            let checked = key.verify_strict(digest, signature);
            checked.expect("it was signed with this key");
        }
    }

    /// Checks each signature strictly, and signs once for each.
    pub(crate) fn check_and_sign(&self) {
        for (digest, key, signature) in &self.signed {
            let checked = key.verify_strict(digest, signature);
            checked.expect("it was signed with this key");
            std::hint::black_box(self.key.sign(digest));
        }
    }
}

/// Things per second.
pub(crate) fn rate(count: usize, spent: Duration) -> f64 {
    number(count) / spent.as_secs_f64()
}

/// Runs `ours` and the bare checks in turn, so that what else the machine does meets both, and
/// tells the processor time of each at its fastest: a neighbour on the same core only slows down.
pub(crate) fn in_turn(
    times: usize,
    peer: &Signatures,
    mut ours: impl FnMut(),
) -> (Duration, Duration) {
    let (mut fastest, mut bare) = (Duration::MAX, Duration::MAX);
    for _ in 0..times {
        fastest = fastest.min(clock::spent(&mut ours));
        bare = bare.min(clock::spent(|| peer.check()));
    }
    (fastest, bare)
}

/// A count as a float, for ratios.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub(crate) fn number(count: usize) -> f64 {
    count as f64
}
