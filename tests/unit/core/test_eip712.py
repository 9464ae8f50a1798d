"""EIP-712: the hashes and the signature of its own example, and eth-account's for our structs."""

import pytest

from paraph.core.abi import struct
from paraph.core.digest import keccak256
from paraph.core.eip712 import Typed, domain_separator, signing_digest
from paraph.core.errors import BrokenTruth
from paraph.core.ident import Address, Digest
from paraph.core.keys import PrivateKey

# The example of EIP-712, "Ether Mail". Its Mail nests two Persons, which structs here do not, so its hash is given.
CONTRACT = Address(bytes.fromhex("cc" * 20))
DOMAIN = "f2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f"
PERSON = Typed(struct("Person(string name, address wallet)"))
PERSON_TYPE = "b9d8c78acf9b987311de6c7b45bb6a9c8e1bf361fa7fd3467a2163f994c79500"
COW = "fc71e5fa27ff56c350aa531bc129ebdf613b772b6604664f5d8dbe21b85eb0c8"
BOB = "cd54f074a4af31b4411ff6a60c9719dbd559c221c8ac3492d9d872b041d703d1"
MAIL = "c52c0ee5d84264471806290a3f2c4cecfc5490626bf912d01f240d7a274b371e"
TO_SIGN = "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"
SIGNATURE = (
    "4355c47d63924e8a72e509b65029052eb6c299d53a04e167c5775fd466751c9d"
    "07299936d304c153f6443dfa05f40ff007d72911b6f72307f996231605b91562"
    "1c"
)


def test_domain_of_the_example() -> None:
    """The domain separator is the published one."""
    assert domain_separator("Ether Mail", "1", 1, CONTRACT).hex() == DOMAIN


def test_person_of_the_example() -> None:
    """The type hash and the two struct hashes of Person are the published ones."""
    assert PERSON.type_string == "Person(string name,address wallet)"
    assert PERSON.type_hash.hex() == PERSON_TYPE
    assert PERSON.hash(("Cow", bytes.fromhex("cd2a3d9f938e13cd947ec05abc7fe734df8dd826"))).hex() == COW
    assert PERSON.hash(("Bob", bytes.fromhex("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"))).hex() == BOB


def test_signature_of_the_example() -> None:
    """The digest to sign and the cow's signature are the published ones."""
    digest = signing_digest(Digest(bytes.fromhex(DOMAIN)), Digest(bytes.fromhex(MAIL)))

    assert digest.hex() == TO_SIGN
    assert PrivateKey(keccak256(b"cow")).sign(digest).hex() == SIGNATURE


def test_bytes_are_hashed_like_text() -> None:
    """`bytes` and `string` members stand as their Keccak-256, a static one as its word."""
    typed = Typed(struct("S(bytes a, string b, uint8 c)"))
    expected = typed.type_hash + keccak256(b"\x00\x01") + keccak256("é".encode()) + (7).to_bytes(32, "big")

    assert typed.hash((b"\x00\x01", "é", 7)) == keccak256(expected)


@pytest.mark.parametrize("members", ["uint8[] a", "uint8[2] a", "P a"])
def test_nested_structs_are_our_fault(members: str) -> None:
    """A struct with arrays or structs in it is refused where it is declared, not hashed wrongly."""
    with pytest.raises(BrokenTruth):
        Typed(struct(f"S({members})", {"P": PERSON.type}))


@pytest.mark.parametrize("values", [("Cow",), ("Cow", bytes(20), 1)])
def test_values_are_counted(values: tuple[object, ...]) -> None:
    """As many values as members."""
    with pytest.raises(ValueError, match="zip"):
        PERSON.hash(values)
