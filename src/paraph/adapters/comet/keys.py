"""A node's two keys: the peers know it by one, its validator signs votes with the other.

Made once and never overwritten. Who has the validator's file can sign in its name, twice at one height too, for which
it is punished.
"""

import base64
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from paraph.adapters.comet.files import create, make_private, unusable
from paraph.core.encode import JsonObject, as_object, as_text, decode, take
from paraph.core.errors import Malformed, Rejected
from paraph.core.ident import Digest

KEY_FILE_BYTES_MAX: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this node is: its id among peers, and its validator's ed25519 public key."""

    node_id: str
    validator_key: bytes


def identity(home: Path) -> Identity:
    """This home's keys; makes those that are absent.

    Raises:
        Malformed: `comet.key_file`: a file holds no key of the engine's. Unavailable: `comet.home`.
        Rejected: `comet.signing_state`: a validator's key without the record of what it signed last.
    """
    config, data = home / "config", home / "data"
    make_private(home)
    make_private(config)
    make_private(data)
    node, validator, state = config / "node_key.json", config / "priv_validator_key.json", _state(home)
    if validator.exists() and not state.exists():
        raise Rejected(
            "comet.signing_state",
            f"{validator} is there and {state} is not: the key might sign a height twice, and be punished; "
            "restore the newest copy of that file",
        )
    create(node, {"priv_key": _secret(Ed25519PrivateKey.generate())})
    # The record first: a key must never stand without it.
    create(state, {"height": "0", "round": 0, "step": 0})
    create(validator, _validator_key(Ed25519PrivateKey.generate()))
    return Identity(consensus_address(_read_public(node)).hex(), _read_public(validator))


def consensus_address(key: bytes) -> bytes:
    """A validator's address: the first 20 bytes of SHA-256 of its ed25519 public key. Peers' ids are made alike."""
    return sha256(key).digest()[:20]


def sign_digest(home: Path, digest: Digest) -> tuple[bytes, bytes]:
    """Sign 32 bytes with this home's validator key: its public key and the signature.

    Votes are never 32 bytes long, so that what is signed here cannot be taken for one.

    Raises:
        Malformed: `comet.key_file`. Unavailable: `comet.home`: there is no key here, as with a remote signer.
    """
    key = _read(home / "config" / "priv_validator_key.json")
    return key.public_key().public_bytes_raw(), key.sign(digest)


def _state(home: Path) -> Path:
    return home / "data" / "priv_validator_state.json"


def _validator_key(key: Ed25519PrivateKey) -> JsonObject:
    public = key.public_key().public_bytes_raw()
    address = consensus_address(public).hex().upper()
    return {"address": address, "pub_key": public_json(public), "priv_key": _secret(key)}


def public_json(key: bytes) -> JsonObject:
    """An ed25519 public key as the engine writes it."""
    return {"type": "tendermint/PubKeyEd25519", "value": base64.b64encode(key).decode()}


def _secret(key: Ed25519PrivateKey) -> JsonObject:
    both = key.private_bytes_raw() + key.public_key().public_bytes_raw()
    return {"type": "tendermint/PrivKeyEd25519", "value": base64.b64encode(both).decode()}


def _read_public(path: Path) -> bytes:
    """The public key of a key file, made from the secret in it: the rest of the file is not believed."""
    return _read(path).public_key().public_bytes_raw()


def _read(path: Path) -> Ed25519PrivateKey:
    try:
        document = as_object(decode(path.read_bytes(), bytes_max=KEY_FILE_BYTES_MAX), "key file")
        kind, value = take(document.get("priv_key"), "private key", "type", "value")
        both = base64.b64decode(as_text(value, "private key"), validate=True)
        key = Ed25519PrivateKey.from_private_bytes(both[:32])
    except (Malformed, ValueError) as error:
        raise Malformed("comet.key_file", f"{path} is no key file of the engine: {error}", path=path) from error
    except OSError as error:
        raise unusable(path, error) from error
    if kind != "tendermint/PrivKeyEd25519" or both[32:] != key.public_key().public_bytes_raw():
        raise Malformed("comet.key_file", f"{path} does not hold an ed25519 key and its public key", path=path)
    return key
