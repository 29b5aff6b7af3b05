"""Judges a receipt file by R1 to R10, or a group block by G1 to G5, of docs/protocol.md."""

import io
import json
import re
import sys
from hashlib import sha256
from types import SimpleNamespace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MOST_BYTES = 32 << 20
P = 2**255 - 19
SMALL_ORDER = {0, 1, P - 1,
               0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826,
               0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7}
# The types of fields in their order, with names where a rule reads them. A choice has its kinds
# between bars, and in a leaf an account's fields stand for the account.
TABLES = {
    "Genesis": "provider_key: bytes32, u64, u32, u8, dormancy_s: u32, dispute_period_s: u32, text, "
               "bool",
    "ChargeProfile": "charger: bytes16, payer: u32, node: u32, seq: u32, bytes32, u32, u64, u32, "
                     "u64, energy_wh: u32, u32, bytes16, bytes32",
    "GroupBlock": "group: u32, u64, bytes32, root: bytes32, count: u32, energy: u64",
    "Header": "u16, height: u64, previous: bytes32, u64, time: u64, body_root: bytes32, "
              "state_root: bytes32, log_root: bytes32, charges: u32, u32, u32, u32",
    "Ballot": "voter: u32, height: u64, header: bytes32",
    "ChargeLine": "signed ChargeProfile, bool, u32, u32, u32",
    "Totals": "voters: u32, u64, u64, u32",
    "Leaf": "Totals Totals | Node node: u32, key: bytes32, u32, bytes32 | Group group: u32, "
            "parent: u32, option u32, u32, list FormerDeputy, bytes32, u64, u64, u64, "
            "voter_since: u64, voted_height: u64, last_ballot: u64 | SupplyPoint u32, u32, u32, bytes32, u32, u64, "
            "u64, u64 | Charger bytes16, u32, list u32, u64, u64, u32, bytes32 | Grant bytes16, "
            "bytes16, u32, u64, u64, u32 | Tariff u32, bytes32 | Conviction Offence, u32, u64, "
            "bytes32",
    "FormerDeputy": "u32, u64",
    "Offence": "Parent u32, u64 | Node u32, u32 | Voter u32, u64 | Provider u64",
    "Way": "turns: u64, path: list bytes32",
    "ReceiptFile": "genesis: Genesis, line: ChargeLine, index: u32, path: list bytes32, "
                   "sections: Sections, header: signed Header, finality: FinalityProof",
    "Sections": "records: bytes32, group_blocks: bytes32, charges: bytes32, ballots: bytes32",
    "FinalityProof": "anchor: Anchor, votes: list Vote, closing: option Closing",
    "Anchor": "header: signed Header, totals: Totals, way: Way",
    "StateLeaf": "leaf: Leaf, way: Way",
    "Vote": "group: StateLeaf, parent: StateLeaf, ballot: signed Ballot, "
            "descendant: option Descendant",
    "Descendant": "header: signed Header, log_path: list bytes32",
    "Closing": "anchor: Anchor, log_path: list bytes32, dormant: list StateLeaf",
}


class Reader(io.BytesIO):
    """Reads values of section 2; a ValueError refuses what is none."""

    def take(self, length):
        if len(data := self.read(length)) < length:
            raise ValueError("it ends before its last field")
        return data

    def number(self, length, end=2**64):
        if (number := int.from_bytes(self.take(length), "little")) >= end:
            raise ValueError(f"{number} stands where only less than {end} may")
        return number

    def value(self, kind):
        word, _, item = kind.partition(" ")
        match word:
            case "u8" | "u16" | "u32" | "u64":
                return self.number(int(word[1:]) // 8)
            case "bytes16" | "bytes32" | "bytes64":
                return self.take(int(word[5:]))
            case "bool":
                return self.number(1, end=2)
            case "text":
                return self.take(self.number(4)).decode()
            case "list":
                return [self.value(item) for _ in range(self.number(4))]
            case "option":
                return self.value(item) if self.number(1, end=2) else None
            case "signed":
                value = self.value(item)
                value.signature = self.take(64)
                return value
        return self.table(TABLES[kind].split(" | "))

    def table(self, kinds):
        start, value, fields = self.tell(), SimpleNamespace(), kinds[0]
        if len(kinds) > 1:
            value.kind, fields = kinds[self.number(1, end=len(kinds))].split(" ", 1)
        for field in fields.split(", "):
            name, _, kind = field.rpartition(": ")
            setattr(value, name or "_", self.value(kind))
        value.bytes = self.getvalue()[start:self.tell()]
        return value


def read_exactly(kind, data):
    reader = Reader(data)
    value = reader.value(kind)
    if reader.read():
        raise ValueError("bytes are left over")
    return value


def H(data):
    return sha256(data).digest()


def small_order(point):
    return int.from_bytes(point, "little") % 2**255 % P in SMALL_ORDER


def signed_by(key, purpose, chain_id, value):
    """K1 to K4, of which the library leaves small orders to us."""
    tag = b"charge-billing.v1 " + purpose
    digest = H(bytes([len(tag)]) + tag + chain_id + value.bytes)
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(value.signature, digest)
    except InvalidSignature:
        return False
    return not small_order(key) and not small_order(value.signature[:32])


def root_over(contents):
    if len(contents) == 1:
        return H(b"\0" + contents[0])
    split = 1 << (len(contents) - 1).bit_length() - 1
    return H(b"\1" + root_over(contents[:split]) + root_over(contents[split:]))


def includes(root, n, i, content, path):
    if not 0 <= i < n:
        return False
    fn, sn, r = i, n - 1, H(b"\0" + content)
    for p in path:
        if sn == 0:
            return False
        if fn % 2 or fn == sn:
            r = H(b"\1" + p + r)
            while fn % 2 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = H(b"\1" + r + p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def in_log(header, later, path):
    return includes(later.log_root, later.height - 1, header.height - 1, H(header.bytes), path)


def in_state(anchor, leaf, way):
    n, r = len(way.path), H(b"\0" + leaf)
    if not 3 <= n <= 63 or way.turns >> (n - 3) != leaf[0]:
        return False
    for i, p in enumerate(way.path):
        r = H(b"\1" + p + r) if way.turns >> i & 1 else H(b"\1" + r + p)
    return r == anchor.header.state_root


def totals_in_state(anchor):
    return in_state(anchor, b"\0" + anchor.totals.bytes, anchor.way)


def sum_of_times(time, seconds):
    return min(time + seconds, 2**64 - 1)


def rise_strictly(keys):
    return all(key < following for key, following in zip(keys, keys[1:]))


def rule(name, holds, reason):
    if not holds:
        raise ValueError(f"{name} {reason}")


def judge_receipt(data, provider_key):
    rule("R1", data[:8] == b"CHARGER\1", "this is no receipt file of version 1")
    try:
        file = read_exactly("ReceiptFile", data[8:])
    except ValueError as error:
        raise ValueError(f"R2 {error}") from error
    genesis, header, sections = file.genesis, file.header, file.sections
    anchor, votes, closing = file.finality.anchor, file.finality.votes, file.finality.closing
    chain_id = H(b"charge-billing.v1 chain" + genesis.bytes)

    def by_provider(value):
        return signed_by(provider_key, b"header", chain_id, value)

    rule("R3", genesis.provider_key == provider_key, "the chain is another provider's")
    rule("R4", by_provider(header), "the provider did not sign the header")
    rule("R5", includes(sections.charges, header.charges, file.index, file.line.bytes, file.path),
         "the charge is not in its section")
    roots = [sections.records, sections.group_blocks, sections.charges, sections.ballots]
    rule("R5", root_over(roots) == header.body_root, "the sections are not the header's")
    rule("R6", by_provider(anchor.header), "the provider did not sign the anchor's header")
    rule("R7", H(anchor.header.bytes) == header.previous and totals_in_state(anchor),
         "the anchor is not the header before, or its totals are not in its state")
    rule("R8", rise_strictly([vote.ballot.voter for vote in votes]), "the voters do not rise")
    for vote in votes:
        judge_vote(vote, header, anchor, chain_id, by_provider)
    if closing:
        judge_closing(closing, header, genesis, votes, by_provider)
    voters, d = anchor.totals.voters, len(closing.dormant) if closing else 0
    rule("R10", d <= voters and 2 * len(votes) > voters - d, "the votes are too few")
    self_attested = " self-attested" if voters <= 2 else ""
    return f"TRUE voters={voters} votes={len(votes)} dormant={d}{self_attested}"


def judge_vote(vote, header, anchor, chain_id, by_provider):
    group, parent, ballot, descendant = (
        vote.group.leaf, vote.parent.leaf, vote.ballot, vote.descendant)
    rule("R8", (group.kind, parent.kind) == ("Group", "Node"), "a leaf is of another kind")
    named = descendant.header if descendant else header
    rule("R8", not descendant or by_provider(named) and in_log(header, named, descendant.log_path),
         "the header voted for does not come after the block's")
    rule("R8", in_state(anchor, group.bytes, vote.group.way)
         and in_state(anchor, parent.bytes, vote.parent.way), "a leaf is not in the anchor's state")
    rule("R8", (ballot.voter, group.parent) == (group.group, parent.node),
         "ballot, group and parent do not belong together")
    rule("R8", (ballot.height, ballot.header) == (named.height, H(named.bytes)),
         "a ballot names another header")
    rule("R8", signed_by(parent.key, b"ballot", chain_id, ballot), "a parent did not sign a ballot")


def judge_closing(closing, header, genesis, votes, by_provider):
    c, voters = closing.anchor.header, {vote.ballot.voter for vote in votes}
    rule("R9", by_provider(c) and in_log(header, c, closing.log_path)
         and totals_in_state(closing.anchor), "the closing header or its totals do not fit")
    rule("R9", sum_of_times(header.time, genesis.dispute_period_s) <= c.time,
         "the dispute period was not over")
    for dormant in closing.dormant:
        group = dormant.leaf
        rule("R9", group.kind == "Group" and in_state(closing.anchor, group.bytes, dormant.way),
             "a leaf is no group in the closing header's state")
        rule("R9", group.voter_since < header.height, "a dormant group was no voter yet")
        rule("R9", group.voted_height < header.height and group.group not in voters,
             "a dormant group voted")
        rule("R9", sum_of_times(group.last_ballot, genesis.dormancy_s) <= c.time,
             "a group was not dormant yet")
    rule("R9", rise_strictly([dormant.leaf.group for dormant in closing.dormant]),
         "the dormant groups do not rise")


def judge_group_block(chain_id, parent_key, node_keys, block, profiles):
    rule("G1", signed_by(parent_key, b"group block", chain_id, block), "the parent did not sign it")
    rule("G2", profiles and all(profile.payer == block.group for profile in profiles),
         "there is no profile, or another group pays one")
    rule("G3", rise_strictly([(profile.charger, profile.node, profile.seq)
                              for profile in profiles]), "the profiles do not rise")
    energy, contents = 0, []
    for profile in profiles:
        key = node_keys.get(str(profile.node))
        rule("G4", key and signed_by(key, b"charge profile", chain_id, profile),
             "a profile is not signed by its node")
        contents.append(energy.to_bytes(8, "little") + profile.bytes + profile.signature)
        energy += profile.energy_wh
    rule("G5", (block.count, block.energy) == (len(profiles), energy), "the sums are others")
    rule("G5", block.root == root_over(contents), "the root is another")
    return f"TRUE profiles={len(profiles)} energy={energy}"


def read_file(name):
    with open(name, "rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError("the file is too long")
    return data


def from_hex(digits, length):
    if not (isinstance(digits, str) and re.fullmatch(f"[0-9a-fA-F]{{{2 * length}}}", digits)):
        raise ValueError(f"something else stands for {2 * length} hexadecimal digits")
    return bytes.fromhex(digits)


def judge(arguments):
    match arguments:
        case ["receipt", name, key]:
            return judge_receipt(read_file(name), from_hex(key, 32))
        case ["group-block", name]:
            match json.loads(read_file(name)):
                case {"chain_id": chain_id, "parent_key": parent_key, "node_keys": dict(node_keys),
                      "group_block": block, "profiles": list(profiles)}:
                    return judge_group_block(
                        from_hex(chain_id, 32), from_hex(parent_key, 32),
                        {node: from_hex(key, 32) for node, key in node_keys.items()},
                        read_exactly("signed GroupBlock", from_hex(block, 152)),
                        [read_exactly("signed ChargeProfile", from_hex(profile, 204))
                         for profile in profiles])
            raise ValueError("this is no group block with its profiles")
    raise ValueError("call it with: receipt FILE PROVIDER_KEY_HEX, or: group-block VECTOR.json")


def main():
    try:
        print(judge(sys.argv[1:]))
    except (OSError, ValueError, RecursionError) as error:
        print("FALSE:", error.strerror if isinstance(error, OSError) else error)
        sys.exit(1)


if __name__ == "__main__":
    main()
