"""EIP-712: hashing typed structured data, so that wallets show what is signed and a signature fits one chain only."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from paraph.core.abi import Field, Type, Value, encode_tuple, struct
from paraph.core.digest import keccak256
from paraph.core.errors import must
from paraph.core.ident import Address, Digest


@dataclass(frozen=True)
class Typed:
    """A flat struct of single-word, `string` and `bytes` members, with its EIP-712 type string."""

    type: Type

    def __post_init__(self) -> None:
        plain = all(field.type.kind not in ("tuple", "array") for field in self.type.items)
        must(plain, "an EIP-712 struct here has no nested structs or arrays")

    @cached_property
    def type_string(self) -> str:
        """`Name(type member,…)` as EIP-712 hashes it."""
        members = ",".join(f"{field.type.name} {field.name}" for field in self.type.items)
        return f"{self.type.struct}({members})"

    @cached_property
    def type_hash(self) -> bytes:
        """Keccak-256 of the type string."""
        return keccak256(self.type_string.encode())

    @cached_property
    def _words(self) -> Type:
        hashed = Type("fixed", 32)
        members = (Field(field.name, hashed if field.type.dynamic else field.type) for field in self.type.items)
        return Type("tuple", 0, tuple(members))

    def hash(self, values: Sequence[Value]) -> Digest:
        """HashStruct of the values, in the order of the members."""
        if self.type.dynamic:
            values = [
                keccak256(value.encode() if field.type.kind == "string" else value) if field.type.dynamic else value
                for field, value in zip(self.type.items, values, strict=True)
            ]
        return keccak256(self.type_hash + encode_tuple(self._words, values))


_DOMAIN = Typed(struct("EIP712Domain(string name, string version, uint256 chainId, address verifyingContract)"))


def domain_separator(name: str, version: str, chain_id: int, contract: Address) -> Digest:
    """The domain's hash: what makes a signature good for one chain and one contract."""
    return _DOMAIN.hash((name, version, chain_id, contract))


def signing_digest(domain: Digest, struct_hash: Digest) -> Digest:
    """The 32 bytes to sign: Keccak-256 of 0x1901, the domain and the struct's hash."""
    return keccak256(b"\x19\x01" + domain + struct_hash)
