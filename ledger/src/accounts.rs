//! Accounts of one kind, as a Merkle tree that two states share but for what differs.
//!
//! A copy costs nothing. A change copies the way from the root to its leaf, and only that way is
//! hashed again, once, when the root is next asked for: a block costs what it touches, not what
//! the chain knows.
//!
//! The shape follows from the keys alone, whatever the order they came in: keys are read as bits,
//! and each node parts its keys at the first bit in which two of them differ. In a tree over
//! sorted positions a new account would move all that follow.

use std::fmt;
use std::ops::Index;
use std::sync::{Arc, OnceLock};

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{ChargerId, GrantId, GroupId, Hash, NodeId, SupplyPointId, TariffId, canonical};

use crate::merkle;

/// What names an account: as bits, all of one length, in the order of the keys.
pub trait Key: Ord + Copy {
    /// The bits.
    type Bits: AsRef<[u8]>;

    /// Its bits, the highest first.
    fn bits(&self) -> Self::Bits;
}

macro_rules! number_keys {
    ($($name:ident),*) => {$(
        impl Key for $name {
            type Bits = [u8; 4];

            fn bits(&self) -> Self::Bits {
                self.0.to_be_bytes()
            }
        }
    )*};
}

number_keys!(NodeId, GroupId, SupplyPointId, TariffId);

macro_rules! short_hash_keys {
    ($($name:ident),*) => {$(
        impl Key for $name {
            type Bits = [u8; 16];

            fn bits(&self) -> Self::Bits {
                self.0
            }
        }
    )*};
}

short_hash_keys!(ChargerId, GrantId);

/// An account as a leaf of the tree.
pub trait Account<K>: Clone {
    /// What is hashed.
    type Leaf: BorshSerialize;

    /// This account as a leaf.
    fn leaf(&self, key: K) -> Self::Leaf;
}

/// A sorted map of accounts that is also a Merkle tree.
#[derive(Clone)]
pub struct Accounts<K, A> {
    tree: Option<Tree<K, A>>,
    len: usize,
}

#[derive(Clone)]
enum Tree<K, A> {
    Leaf(Arc<Leaf<K, A>>),
    Fork(Arc<Fork<K, A>>),
}

#[derive(Clone)]
struct Leaf<K, A> {
    key: K,
    account: A,
    // Empty where the account changed since the root was asked for.
    hash: OnceLock<Hash>,
}

#[derive(Clone)]
struct Fork<K, A> {
    // The first bit in which its keys differ; those without it are on the left.
    bit: usize,
    left: Tree<K, A>,
    right: Tree<K, A>,
    // Empty where something below changed since the root was asked for.
    hash: OnceLock<Hash>,
}

impl<K, A> Default for Accounts<K, A> {
    fn default() -> Self {
        Self { tree: None, len: 0 }
    }
}

impl<K: Key, A: Clone> Accounts<K, A> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The account of `key`.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&A> {
        let nearest = self.tree.as_ref()?.nearest(key.bits().as_ref());
        (nearest.key == *key).then_some(&nearest.account)
    }

    /// Whether there is an account of `key`.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// The account of `key`, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut A> {
        // Looked for first, so that nothing is copied for a key that is not there.
        self.get(key)?;
        let bits = key.bits();
        let mut tree = self.tree.as_mut()?;
        loop {
            match tree {
                Tree::Leaf(leaf) => {
                    let leaf = Arc::make_mut(leaf);
                    leaf.hash.take();
                    return Some(&mut leaf.account);
                }
                Tree::Fork(fork) => tree = Fork::side_mut(fork, bits.as_ref()),
            }
        }
    }

    /// Sets an account and gives what it was before.
    pub fn insert(&mut self, key: K, account: A) -> Option<A> {
        if let Some(before) = self.get_mut(&key) {
            return Some(std::mem::replace(before, account));
        }
        let leaf = Tree::Leaf(Arc::new(Leaf {
            key,
            account,
            hash: OnceLock::new(),
        }));
        let bits = key.bits();
        match &mut self.tree {
            None => self.tree = Some(leaf),
            Some(tree) => {
                let nearest = tree.nearest(bits.as_ref()).key.bits();
                let differs = first_difference(nearest.as_ref(), bits.as_ref());
                let bit = differs.expect("keys of equal bits are equal");
                tree.place(leaf, bits.as_ref(), bit);
            }
        }
        self.len += 1;
        None
    }

    /// Takes an account out.
    pub fn remove(&mut self, key: &K) -> Option<A> {
        let removed = self.get(key)?.clone();
        self.tree = self.tree.as_ref()?.without(key.bits().as_ref());
        self.len -= 1;
        Some(removed)
    }

    /// Takes out all accounts that `keep` refuses.
    pub fn retain(&mut self, keep: impl Fn(&K, &A) -> bool) {
        let refused = self.iter().filter(|(key, account)| !keep(key, account));
        let refused: Vec<K> = refused.map(|(key, _)| *key).collect();
        for key in refused {
            self.remove(&key);
        }
    }

    /// All accounts, sorted by key.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, K, A> {
        Iter {
            waiting: self.tree.iter().collect(),
        }
    }

    /// The accounts from `key` on, sorted.
    #[must_use]
    pub fn iter_from(&self, key: &K) -> Iter<'_, K, A> {
        let mut waiting = Vec::new();
        if let Some(tree) = &self.tree {
            tree.wait_from(key.bits().as_ref(), &mut waiting);
        }
        Iter { waiting }
    }

    /// All keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// All accounts, sorted by their keys.
    pub fn values(&self) -> impl Iterator<Item = &A> {
        self.iter().map(|(_, account)| account)
    }

    /// The account of the lowest key.
    #[must_use]
    pub fn first_key_value(&self) -> Option<(&K, &A)> {
        self.iter().next()
    }

    /// The account of the highest key.
    #[must_use]
    pub fn last_key_value(&self) -> Option<(&K, &A)> {
        let mut tree = self.tree.as_ref()?;
        loop {
            match tree {
                Tree::Leaf(leaf) => return Some((&leaf.key, &leaf.account)),
                Tree::Fork(fork) => tree = &fork.right,
            }
        }
    }
}

impl<K: Key, A: Account<K>> Accounts<K, A> {
    /// The root over all accounts; the hash of nothing where there is none.
    #[must_use]
    pub fn root(&self) -> Hash {
        match &self.tree {
            None => Hash::of(b""),
            Some(tree) => tree.hash(),
        }
    }

    /// The way from the leaf of `key` to the root; `None` where there is no such account.
    #[must_use]
    pub fn way(&self, key: &K) -> Option<merkle::Way> {
        self.get(key)?;
        let bits = key.bits();
        let mut way = merkle::Way::default();
        let mut tree = self.tree.as_ref()?;
        while let Tree::Fork(fork) = tree {
            let (side, other) = fork.sides(bits.as_ref());
            way.descend(has(bits.as_ref(), fork.bit), other.hash());
            tree = side;
        }
        Some(way)
    }
}

impl<K: Key, A: Clone> Tree<K, A> {
    /// The only leaf that can have these bits.
    fn nearest(&self, bits: &[u8]) -> &Leaf<K, A> {
        let mut tree = self;
        loop {
            match tree {
                Self::Leaf(leaf) => return leaf,
                Self::Fork(fork) => tree = fork.sides(bits).0,
            }
        }
    }

    /// Puts `leaf`, whose `bits` differ from all here at `bit` first, where it belongs.
    fn place(&mut self, leaf: Self, bits: &[u8], bit: usize) {
        if let Self::Fork(fork) = self
            && fork.bit < bit
        {
            return Fork::side_mut(fork, bits).place(leaf, bits, bit);
        }
        let (left, right) = match has(bits, bit) {
            true => (self.clone(), leaf),
            false => (leaf, self.clone()),
        };
        *self = Self::fork(bit, left, right);
    }

    fn fork(bit: usize, left: Self, right: Self) -> Self {
        Self::Fork(Arc::new(Fork {
            bit,
            left,
            right,
            hash: OnceLock::new(),
        }))
    }

    /// The tree without the leaf of `bits`, which is in it.
    fn without(&self, bits: &[u8]) -> Option<Self> {
        let Self::Fork(fork) = self else { return None };
        let (side, other) = fork.sides(bits);
        let other = other.clone();
        Some(match side.without(bits) {
            None => other,
            Some(side) if has(bits, fork.bit) => Self::fork(fork.bit, other, side),
            Some(side) => Self::fork(fork.bit, side, other),
        })
    }

    /// Puts what has `bits` or higher ones onto `waiting`, the highest first.
    fn wait_from<'a>(&'a self, bits: &[u8], waiting: &mut Vec<&'a Self>) {
        let nearest = self.nearest(bits).key.bits();
        let differs = first_difference(nearest.as_ref(), bits);
        let mut tree = self;
        while let Self::Fork(fork) = tree
            && differs.is_none_or(|bit| fork.bit < bit)
        {
            if !has(bits, fork.bit) {
                waiting.push(&fork.right);
            }
            tree = fork.sides(bits).0;
        }
        // All that is left differs at the same bit: it lies above `bits` as a whole, or below.
        if differs.is_none_or(|bit| !has(bits, bit)) {
            waiting.push(tree);
        }
    }
}

impl<K: Key, A: Account<K>> Tree<K, A> {
    fn hash(&self) -> Hash {
        match self {
            Self::Leaf(leaf) => *leaf.hash.get_or_init(|| {
                let bytes = canonical(&leaf.account.leaf(leaf.key));
                merkle::leaf_hash(&bytes)
            }),
            Self::Fork(fork) => *fork
                .hash
                .get_or_init(|| merkle::node_hash(&fork.left.hash(), &fork.right.hash())),
        }
    }
}

impl<K: Key, A: Clone> Fork<K, A> {
    /// The side that `bits` lie on, and the other one.
    fn sides(&self, bits: &[u8]) -> (&Tree<K, A>, &Tree<K, A>) {
        match has(bits, self.bit) {
            true => (&self.right, &self.left),
            false => (&self.left, &self.right),
        }
    }

    /// The side that `bits` lie on, about to be changed.
    fn side_mut<'a>(fork: &'a mut Arc<Self>, bits: &[u8]) -> &'a mut Tree<K, A> {
        let fork = Arc::make_mut(fork);
        fork.hash.take();
        match has(bits, fork.bit) {
            true => &mut fork.right,
            false => &mut fork.left,
        }
    }
}

fn has(bits: &[u8], bit: usize) -> bool {
    bits[bit / 8] & (0x80 >> (bit % 8)) != 0
}

fn first_difference(one: &[u8], other: &[u8]) -> Option<usize> {
    let (byte, (a, b)) = one
        .iter()
        .zip(other)
        .enumerate()
        .find(|(_, (a, b))| a != b)?;
    let bit = usize::try_from((a ^ b).leading_zeros()).expect("a byte has eight bits");
    Some(byte * 8 + bit)
}

/// Accounts in the order of their keys.
pub struct Iter<'a, K, A> {
    // The next one is in the last tree.
    waiting: Vec<&'a Tree<K, A>>,
}

impl<'a, K, A> Iterator for Iter<'a, K, A> {
    type Item = (&'a K, &'a A);

    fn next(&mut self) -> Option<Self::Item> {
        let mut tree = self.waiting.pop()?;
        loop {
            match tree {
                Tree::Leaf(leaf) => return Some((&leaf.key, &leaf.account)),
                Tree::Fork(fork) => {
                    self.waiting.push(&fork.right);
                    tree = &fork.left;
                }
            }
        }
    }
}

impl<'a, K: Key, A: Clone> IntoIterator for &'a Accounts<K, A> {
    type Item = (&'a K, &'a A);
    type IntoIter = Iter<'a, K, A>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K: Key, A: Clone> Index<&K> for Accounts<K, A> {
    type Output = A;

    fn index(&self, key: &K) -> &A {
        self.get(key).expect("the account is there")
    }
}

impl<K: Key, A: Clone> FromIterator<(K, A)> for Accounts<K, A> {
    fn from_iter<I: IntoIterator<Item = (K, A)>>(accounts: I) -> Self {
        let mut made = Self::default();
        for (key, account) in accounts {
            made.insert(key, account);
        }
        made
    }
}

impl<K: Key, A: Clone + PartialEq> PartialEq for Accounts<K, A> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: Key, A: Clone + Eq> Eq for Accounts<K, A> {}

impl<K: Key + fmt::Debug, A: Clone + fmt::Debug> fmt::Debug for Accounts<K, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

/// As a sorted list of keys and accounts.
impl<K, A> BorshSerialize for Accounts<K, A>
where
    K: Key + BorshSerialize,
    A: Clone + BorshSerialize,
{
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        self.iter().collect::<Vec<_>>().serialize(writer)
    }
}

impl<K, A> BorshDeserialize for Accounts<K, A>
where
    K: Key + BorshDeserialize,
    A: Clone + BorshDeserialize,
{
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let accounts = Vec::<(K, A)>::deserialize_reader(reader)?;
        if !accounts.is_sorted_by(|one, next| one.0 < next.0) {
            return Err(std::io::Error::other("accounts are not strictly sorted"));
        }
        Ok(accounts.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use protocol::decode;

    use super::*;

    impl Account<GroupId> for u16 {
        type Leaf = (GroupId, Self);

        fn leaf(&self, key: GroupId) -> Self::Leaf {
            (key, *self)
        }
    }

    /// The root by its definition, from all accounts.
    fn defined(accounts: &[(GroupId, u16)]) -> Hash {
        match accounts {
            [] => Hash::of(b""),
            [(key, account)] => merkle::leaf_hash(&canonical(&(key, account))),
            [(first, _), .., (last, _)] => {
                let bit = (first.0 ^ last.0).leading_zeros();
                let is_left = |(key, _): &(GroupId, u16)| key.0 & (0x8000_0000 >> bit) == 0;
                let (left, right) = accounts.split_at(accounts.partition_point(is_left));
                merkle::node_hash(&defined(left), &defined(right))
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Change {
        Insert(u32, u16),
        Increase(u32),
        Remove(u32),
        Root,
    }

    fn change() -> impl Strategy<Value = Change> {
        // Few keys, some of them far apart, so that changes meet.
        let key = prop_oneof![0..20_u32, (0..8_u32).prop_map(|n| n << 29 | 5)];
        prop_oneof![
            3 => (key.clone(), any::<u16>()).prop_map(|(key, value)| Change::Insert(key, value)),
            2 => key.clone().prop_map(Change::Increase),
            1 => key.prop_map(Change::Remove),
            1 => Just(Change::Root),
        ]
    }

    fn make(change: &Change, accounts: &mut Accounts<GroupId, u16>) {
        match change {
            Change::Insert(key, value) => drop(accounts.insert(GroupId(*key), *value)),
            Change::Increase(key) => {
                if let Some(value) = accounts.get_mut(&GroupId(*key)) {
                    *value = value.wrapping_add(1);
                }
            }
            Change::Remove(key) => drop(accounts.remove(&GroupId(*key))),
            // Hashes are kept from here on.
            Change::Root => drop(accounts.root()),
        }
    }

    fn make_plainly(change: &Change, accounts: &mut BTreeMap<GroupId, u16>) {
        match change {
            Change::Insert(key, value) => drop(accounts.insert(GroupId(*key), *value)),
            Change::Increase(key) => {
                if let Some(value) = accounts.get_mut(&GroupId(*key)) {
                    *value = value.wrapping_add(1);
                }
            }
            Change::Remove(key) => drop(accounts.remove(&GroupId(*key))),
            Change::Root => {}
        }
    }

    fn check(accounts: &Accounts<GroupId, u16>, plain: &BTreeMap<GroupId, u16>) {
        let all: Vec<(GroupId, u16)> = plain.iter().map(|(k, v)| (*k, *v)).collect();
        let found: Vec<(GroupId, u16)> = accounts.iter().map(|(k, v)| (*k, *v)).collect();
        assert_eq!(found, all);
        assert_eq!(accounts.len(), all.len());
        assert_eq!(accounts.root(), defined(&all));
        assert_eq!(accounts.first_key_value(), plain.first_key_value());
        assert_eq!(accounts.last_key_value(), plain.last_key_value());
        for key in 0..22 {
            let from = accounts.iter_from(&GroupId(key));
            assert!(from.eq(plain.range(GroupId(key)..)), "from {key}");
        }
        for (key, account) in &all {
            let way = accounts.way(key).expect("it is there");
            let leaf = merkle::leaf_hash(&canonical(&account.leaf(*key)));
            assert!(way.leads(&leaf, &accounts.root()));
        }
        assert_eq!(decode(&canonical(accounts)), Ok(accounts.clone()));
    }

    proptest! {
        #[test]
        fn it_is_the_sorted_map_and_the_tree_that_its_definition_gives(
            before in prop::collection::vec(change(), 0..40),
            after in prop::collection::vec(change(), 0..20),
        ) {
            let mut accounts = Accounts::default();
            let mut plain = BTreeMap::new();
            for change in &before {
                make(change, &mut accounts);
                make_plainly(change, &mut plain);
            }
            let (shared, plain_then) = (accounts.clone(), plain.clone());
            for change in &after {
                make(change, &mut accounts);
                make_plainly(change, &mut plain);
            }
            check(&accounts, &plain);
            // The copy has seen nothing of what came after it.
            check(&shared, &plain_then);
        }
    }

    #[test]
    fn an_unsorted_list_is_refused() {
        let unsorted = vec![(GroupId(2), 1_u16), (GroupId(1), 1)];
        assert!(decode::<Accounts<GroupId, u16>>(&canonical(&unsorted)).is_err());
        let twice = vec![(GroupId(2), 1_u16), (GroupId(2), 1)];
        assert!(decode::<Accounts<GroupId, u16>>(&canonical(&twice)).is_err());
    }
}
