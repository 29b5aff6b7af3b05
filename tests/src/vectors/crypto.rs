//! Keys, signatures and what strict verification refuses.

use num_bigint::BigUint;
use protocol::{Domain, Hash, KeyPair, PublicKey, Signature, SignatureError};
use sha2::{Digest, Sha512};

use super::json::{Json, list, object, raw};

const SEED: [u8; 32] = [7; 32];
const BODY: &[u8] = b"any body";

/// Every purpose that a peer can meet, with its tag.
const DOMAINS: [(Domain, &str); 15] = [
    (Domain::ChargeProfile, "charge-billing.v1 charge profile"),
    (Domain::Grant, "charge-billing.v1 grant"),
    (Domain::Receipt, "charge-billing.v1 receipt"),
    (Domain::ProfileAck, "charge-billing.v1 profile ack"),
    (Domain::GroupBlock, "charge-billing.v1 group block"),
    (Domain::Header, "charge-billing.v1 header"),
    (Domain::Ballot, "charge-billing.v1 ballot"),
    (Domain::Deputy, "charge-billing.v1 deputy"),
    (Domain::MeterExchange, "charge-billing.v1 meter exchange"),
    (Domain::Resume, "charge-billing.v1 resume"),
    (Domain::NodeHello, "charge-billing.v1 node hello"),
    (Domain::ProviderHello, "charge-billing.v1 provider hello"),
    (Domain::Enrolment, "charge-billing.v1 enrolment"),
    (Domain::CalledNode, "charge-billing.v1 called node"),
    (Domain::CallingNode, "charge-billing.v1 calling node"),
];

pub(super) fn signatures() -> Json {
    object([
        (
            "what",
            "Signatures over one body on one chain, one for each purpose. What is signed is the \
             digest: SHA-256 of the tag's length in one byte, the tag, the chain id and the body."
                .into(),
        ),
        ("seed", raw(&SEED)),
        ("key", raw(&pair().public().0)),
        ("chain_id", raw(&chain().0)),
        ("body", raw(BODY)),
        ("signatures", Json::List(DOMAINS.map(signature).to_vec())),
        ("refused", refused()),
        ("unusable_keys", unusable_keys()),
        ("usable_keys", usable_keys()),
    ])
}

fn pair() -> KeyPair {
    KeyPair::from_seed(&SEED)
}

fn chain() -> Hash {
    Hash::of(b"a chain")
}

fn signature((domain, tag): (Domain, &str)) -> Json {
    let signature = pair().sign(domain, &chain(), BODY);
    let length = u8::try_from(tag.len()).expect("tags are short");
    let digest = Hash::of_parts(&[&[length], tag.as_bytes(), &chain().0, BODY]);
    assert_eq!(digest, domain.digest(&chain(), BODY));
    object([
        ("tag", tag.into()),
        ("digest", raw(&digest.0)),
        ("signature", raw(&signature.0)),
    ])
}

/// Signatures for a ballot's purpose that do not hold.
fn refused() -> Json {
    let genuine = pair().sign(Domain::Ballot, &chain(), BODY);
    let mut flipped = genuine;
    flipped.0[40] ^= 1;
    let cases = [
        (
            "a signature for another purpose",
            pair().public(),
            pair().sign(Domain::Header, &chain(), BODY),
        ),
        (
            "a signature for another chain",
            pair().public(),
            pair().sign(Domain::Ballot, &Hash::ZERO, BODY),
        ),
        ("byte 40 flipped", pair().public(), flipped),
        (
            "its second half has the group's order added: the same point, another number",
            pair().public(),
            with_order_added(&genuine),
        ),
        (
            "its first half is the neutral element, and the equation holds",
            pair().public(),
            with_neutral_point(&SEED, &Domain::Ballot.digest(&chain(), BODY)),
        ),
        (
            "the key is the neutral element, the first half is a point of high order: the equation \
             holds for any message",
            neutral(),
            under_neutral_key(),
        ),
        (
            "key and first half are the neutral element, the second half is zero: the equation \
             holds for any message",
            neutral(),
            over_neutral_key(),
        ),
    ];
    list(cases.map(|(what, key, signature)| {
        let verdict = key.verify(Domain::Ballot, &chain(), BODY, &signature);
        assert!(verdict.is_err(), "{what}");
        object([
            ("what", what.into()),
            ("tag", "charge-billing.v1 ballot".into()),
            ("key", raw(&key.0)),
            ("signature", raw(&signature.0)),
        ])
    }))
}

/// The order of the group that Ed25519 signs in.
fn order() -> BigUint {
    (BigUint::from(1_u8) << 252_u32)
        + "27742317777372353535851937790883648493"
            .parse::<BigUint>()
            .expect("digits")
}

fn little_endian(number: &BigUint) -> [u8; 32] {
    let mut bytes = number.to_bytes_le();
    bytes.resize(32, 0);
    bytes.try_into().expect("it is below 2^256")
}

pub(super) fn with_order_added(genuine: &Signature) -> Signature {
    let mut changed = *genuine;
    let number = BigUint::from_bytes_le(&genuine.0[32..]) + order();
    changed.0[32..].copy_from_slice(&little_endian(&number));
    changed
}

/// The neutral element, as a key: usable by nobody.
pub(super) fn neutral() -> PublicKey {
    let mut key = [0; 32];
    key[0] = 1;
    PublicKey(key)
}

/// The number that a seed's public key is a multiple by.
fn secret(seed: &[u8; 32]) -> BigUint {
    let mut secret: [u8; 32] = Sha512::digest(seed)[..32].try_into().expect("32 bytes");
    secret[0] &= 0xf8;
    secret[31] = (secret[31] & 0x7f) | 0x40;
    BigUint::from_bytes_le(&secret)
}

/// `S = k · a`, so that `S·B = R + k·A` with the neutral element as `R`.
pub(super) fn with_neutral_point(seed: &[u8; 32], digest: &Hash) -> Signature {
    let k = Sha512::new()
        .chain_update(neutral().0)
        .chain_update(KeyPair::from_seed(seed).public().0)
        .chain_update(digest.0)
        .finalize();
    let s = BigUint::from_bytes_le(&k) * secret(seed) % order();
    let mut signature = Signature([0; 64]);
    signature.0[..32].copy_from_slice(&neutral().0);
    signature.0[32..].copy_from_slice(&little_endian(&s));
    signature
}

/// What a lenient check accepts for any message under the neutral key.
pub(super) fn over_neutral_key() -> Signature {
    let mut signature = Signature([0; 64]);
    signature.0[0] = 1;
    signature
}

/// The same with a point of high order as its first half: `S·B = R`.
pub(super) fn under_neutral_key() -> Signature {
    let mut signature = Signature([0; 64]);
    signature.0[..32].copy_from_slice(&pair().public().0);
    signature.0[32..].copy_from_slice(&little_endian(&(secret(&SEED) % order())));
    signature
}

/// The field's prime, 2^255 − 19.
fn prime() -> BigUint {
    (BigUint::from(1_u8) << 255_u32) - BigUint::from(19_u8)
}

fn with_sign(mut key: [u8; 32]) -> [u8; 32] {
    key[31] |= 0x80;
    key
}

fn small(number: u8) -> [u8; 32] {
    little_endian(&BigUint::from(number))
}

/// `number` once more, written above the prime.
fn above_prime(number: u8) -> [u8; 32] {
    little_endian(&(prime() + BigUint::from(number)))
}

fn of_order_8() -> [[u8; 32]; 2] {
    [
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ]
    .map(|text| PublicKey::try_from(text.to_owned()).expect("32 bytes").0)
}

fn unusable_keys() -> Json {
    let [first, second] = of_order_8();
    let minus_one = little_endian(&(prime() - BigUint::from(1_u8)));
    let cases = [
        ("order 1 (y = 1)", small(1)),
        ("order 1, sign bit set", with_sign(small(1))),
        ("order 2 (y = -1)", minus_one),
        ("order 4 (y = 0)", small(0)),
        ("order 4, sign bit set", with_sign(small(0))),
        ("order 8", first),
        ("order 8, sign bit set", with_sign(first)),
        ("order 8, the other y", second),
        ("order 8, the other y, sign bit set", with_sign(second)),
        ("order 4, y written as the prime", above_prime(0)),
        ("order 1, y written as the prime and 1", above_prime(1)),
        ("no point has y = 2", small(2)),
    ];
    list(cases.map(|(what, key)| {
        assert_eq!(
            PublicKey(key).check(),
            Err(SignatureError::WeakKey),
            "{what}"
        );
        object([("what", what.into()), ("key", raw(&key))])
    }))
}

fn usable_keys() -> Json {
    let cases = [
        ("the key of this file's seed", pair().public().0),
        ("y = 3", small(3)),
        ("y = 3, written as the prime and 3", above_prime(3)),
    ];
    list(cases.map(|(what, key)| {
        assert_eq!(PublicKey(key).check(), Ok(()), "{what}");
        object([("what", what.into()), ("key", raw(&key))])
    }))
}
