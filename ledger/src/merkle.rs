//! Merkle trees as in RFC 6962: leaves and nodes hashed apart, no leaf ever doubled.

use std::io;

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::Hash;

const LEAF: &[u8] = &[0x00];
const NODE: &[u8] = &[0x01];

/// The hash of a leaf.
///
/// # Source
/// RFC 6962, section 2.1.
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Hash {
    Hash::of_parts(&[LEAF, data])
}

/// The hash of a node.
///
/// # Source
/// RFC 6962, section 2.1.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash::of_parts(&[NODE, &left.0, &right.0])
}

/// The root over leaf hashes; the hash of nothing for an empty list.
///
/// # Source
/// RFC 6962, section 2.1.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    let mut log = Frontier::default();
    for leaf in leaves {
        log.push(*leaf);
    }
    log.root()
}

/// The audit path of leaf `index`; `None` where there is no such leaf.
///
/// # Source
/// RFC 6962, section 2.1.1.
#[must_use]
pub fn path(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    let mut path = Vec::new();
    let (mut leaves, mut index) = (leaves, index);
    while leaves.len() > 1 {
        let split = leaves.len().next_power_of_two() / 2;
        let (left, right) = leaves.split_at(split);
        if index < split {
            path.push(root(right));
            leaves = left;
        } else {
            path.push(root(left));
            leaves = right;
            index -= split;
        }
    }
    path.reverse();
    Some(path)
}

/// Whether `path` leads from `leaf` at `index` to `root` in a tree of `size` leaves.
///
/// # Source
/// RFC 9162, section 2.1.3.2.
#[must_use]
pub fn includes(root: &Hash, size: u64, index: u64, leaf: &Hash, path: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut index, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return false;
        }
        if index & 1 == 1 || index == last {
            hash = node_hash(sibling, &hash);
            while index & 1 == 0 && index != 0 {
                index >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        index >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// A way from a leaf to the root of a tree whose shape is not known from its size.
///
/// Leaves and nodes are hashed apart, so it can only lead from a leaf that is in the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Way {
    /// Whether the leaf is on the right, one bit for each node, the lowest for the node next to
    /// the leaf.
    pub turns: u64,
    /// The hash on the other side of each node, the one next to the leaf first.
    pub path: Vec<Hash>,
}

impl Way {
    /// The longest way: keys are short, or hashes that nobody can choose to be so much alike.
    pub(crate) const LONGEST: usize = 63;

    /// Goes one node further down, away from the root.
    pub(crate) fn descend(&mut self, is_right: bool, other: Hash) {
        self.turns = self.turns << 1 | u64::from(is_right);
        self.path.insert(0, other);
    }

    /// Goes on for one node towards the root.
    pub(crate) fn ascend(&mut self, is_right: bool, other: Hash) {
        self.turns |= u64::from(is_right) << self.path.len();
        self.path.push(other);
    }

    /// Whether it leads from `leaf` to `root`.
    #[must_use]
    pub fn leads(&self, leaf: &Hash, root: &Hash) -> bool {
        if self.path.len() > Self::LONGEST {
            return false;
        }
        let mut hash = *leaf;
        let mut turns = self.turns;
        for other in &self.path {
            hash = match turns & 1 {
                0 => node_hash(&hash, other),
                _ => node_hash(other, &hash),
            };
            turns >>= 1;
        }
        // A turn that is not taken would be a byte that could be changed.
        turns == 0 && hash == *root
    }
}

/// The right edge of a growing tree: enough to append and to tell the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize)]
pub struct Frontier {
    size: u64,
    // Invariant: one root per set bit of `size`, the largest subtree first.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// How many leaves the tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        let mut carry = self.size;
        while carry & 1 == 1 {
            let left = self.peaks.pop().expect("a set bit has a peak");
            hash = node_hash(&left, &hash);
            carry >>= 1;
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root over all leaves so far.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.peaks
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or_else(|| Hash::of(b""))
    }
}

/// Refuses what breaks the invariant: the next leaf would look for a peak that is not there.
impl BorshDeserialize for Frontier {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let (size, peaks) = <(u64, Vec<Hash>)>::deserialize_reader(reader)?;
        if usize::try_from(size.count_ones()) != Ok(peaks.len()) {
            return Err(io::Error::other("not one peak for each bit of the size"));
        }
        Ok(Self { size, peaks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The eight leaves of the Certificate Transparency test vectors.
    ///
    /// # Source
    /// `MerkleTreeTest` of the certificate-transparency reference implementation of RFC 6962, as are
    /// the roots and paths below.
    fn vectors() -> Vec<Hash> {
        [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ]
        .iter()
        .map(|text| leaf_hash(&hex::decode(text).expect("hexadecimal")))
        .collect()
    }

    #[track_caller]
    fn check(size: usize, expected: &str) {
        assert_eq!(root(&vectors()[..size]).to_string(), expected);
    }

    /// A frontier read without one of its peaks panicked at the next leaf.
    #[test]
    fn a_frontier_is_read_with_all_of_its_peaks_or_not_at_all() {
        let mut frontier = Frontier::default();
        for leaf in vectors() {
            let bytes = protocol::canonical(&frontier);
            assert_eq!(protocol::decode(&bytes), Ok(frontier.clone()));
            let (size, peaks) = (frontier.size, &frontier.peaks);
            for wrong in [size + 1, size ^ 0x8000] {
                let bytes = protocol::canonical(&(wrong, peaks));
                let is_read = protocol::decode::<Frontier>(&bytes).is_ok();
                assert_eq!(is_read, wrong.count_ones() == size.count_ones());
            }
            frontier.push(leaf);
        }
    }

    #[test]
    fn roots_are_those_of_certificate_transparency() {
        check(
            0,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        );
        check(
            1,
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        );
        check(
            2,
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        );
        check(
            3,
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        );
        check(
            4,
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        );
        check(
            5,
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        );
        check(
            6,
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        );
        check(
            7,
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        );
        check(
            8,
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        );
    }

    #[test]
    fn audit_paths_are_those_of_certificate_transparency() {
        check_path(1, 0, &[]);
        check_path(
            8,
            0,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        );
        check_path(
            8,
            5,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        );
        check_path(
            3,
            2,
            &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
        );
        check_path(
            5,
            1,
            &[
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        );
    }

    /// The published path is the one made, and leads to the root.
    #[track_caller]
    fn check_path(size: usize, index: usize, expected: &[&str]) {
        let leaves = &vectors()[..size];
        let path = path(leaves, index).expect("index is in range");
        let text: Vec<String> = path.iter().map(Hash::to_string).collect();
        assert_eq!(text, expected);
        let (size, position) = (size as u64, index as u64);
        assert!(includes(
            &root(leaves),
            size,
            position,
            &leaves[index],
            &path
        ));
    }

    #[test]
    fn every_leaf_has_a_path_and_no_other_leaf_has_it() {
        for size in 1..=17_u8 {
            let leaves: Vec<_> = (0..size).map(|i| leaf_hash(&[i])).collect();
            let root = root(&leaves);
            for index in 0..usize::from(size) {
                let path = path(&leaves, index).expect("index is in range");
                for other in 0..usize::from(size) {
                    let holds =
                        includes(&root, u64::from(size), other as u64, &leaves[index], &path);
                    assert_eq!(
                        holds,
                        other == index,
                        "size {size}, leaf {index} as {other}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_doubled_leaf_changes_the_root() {
        let three: Vec<_> = (0..3).map(|i| leaf_hash(&[i])).collect();
        let doubled = [three.clone(), vec![three[2]]].concat();
        assert_ne!(root(&three), root(&doubled));
    }

    #[test]
    fn an_inner_node_is_no_leaf() {
        let leaves: Vec<_> = (0..2).map(|i| leaf_hash(&[i])).collect();
        let forged = leaf_hash(&[leaves[0].0, leaves[1].0].concat());
        assert!(!includes(&root(&leaves), 1, 0, &forged, &[]));
    }
}
