"""Key files: the published vectors open, other tools' files open here and ours there, and nothing is overwritten."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from paraph.adapters.keys.keystore import SCRYPT_N_LIGHT, decrypt, load_key, new_key, save_key, write_private
from paraph.core.errors import Malformed, Rejected, Unavailable
from paraph.core.keys import PrivateKey

SECRET = bytes.fromhex("7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d")
"""The key in both published vectors, whose password is `testpassword`."""
ADDRESS = "008aeeda4d805471df9b2a5b0f38a0c3bcba786b"

# https://ethereum.org/developers/docs/data-structures-and-encoding/web3-secret-storage/ (test vectors).
PBKDF2 = {
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        "kdf": "pbkdf2",
        "kdfparams": {
            "c": 262144,
            "dklen": 32,
            "prf": "hmac-sha256",
            "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
        },
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3,
}
SCRYPT = {
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "83dbcc02d8ccb40e466191a123791e0e"},
        "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
        "kdf": "scrypt",
        "kdfparams": {
            "dklen": 32,
            "n": 262144,
            "p": 8,
            "r": 1,
            "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19",
        },
        "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097",
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3,
}


def test_published_vector_of_pbkdf2() -> None:
    """The published test vector opens to the published key."""
    assert decrypt(json.dumps(PBKDF2).encode(), "testpassword").dangerous_secret() == SECRET


def test_published_vector_of_scrypt() -> None:
    """The published scrypt vector has r = 1 and n = 2^18, which RFC 7914 excludes: it is refused, and said why."""
    with pytest.raises(Malformed) as caught:
        decrypt(json.dumps(SCRYPT).encode(), "testpassword")

    assert "RFC 7914" in caught.value.message
    assert bytes(Account.decrypt(SCRYPT, "testpassword")) == SECRET


def test_scrypt_as_wallets_write_it() -> None:
    """The same key under the cost that geth and eth-account write, n = 2^18 and r = 8, opens."""
    document = Account.encrypt(SECRET, "testpassword", kdf="scrypt")

    assert document["crypto"]["kdfparams"]["r"] == 8
    assert decrypt(json.dumps(document).encode(), "testpassword").dangerous_secret() == SECRET


@pytest.mark.parametrize("kdf", ["scrypt", "pbkdf2"])
def test_files_of_eth_account_open(kdf: Any) -> None:
    """A file that eth-account wrote opens here."""
    document = Account.encrypt(SECRET, "a pässword", kdf=kdf, iterations=4096 if kdf == "scrypt" else 1000)

    assert decrypt(json.dumps(document).encode(), "a pässword").dangerous_secret() == SECRET


def test_our_files_open_elsewhere(tmp_path: Path) -> None:
    """A file of ours opens in eth-account, and here."""
    key = new_key()
    place = tmp_path / "keys" / "mine.json"

    save_key(place, key, "open", scrypt_n=SCRYPT_N_LIGHT)

    assert bytes(Account.decrypt(place.read_text(), "open")) == key.dangerous_secret()
    assert load_key(place, "open").address == key.address
    assert key.address.hex() in place.read_text()


def test_file_is_private_and_never_overwritten(tmp_path: Path) -> None:
    """A key file is for its owner alone, and writing another to its name is refused and leaves it as it was."""
    place = tmp_path / "mine.json"
    save_key(place, new_key(), "open", scrypt_n=SCRYPT_N_LIGHT)
    before = place.read_bytes()

    with pytest.raises(Rejected) as caught:
        save_key(place, new_key(), "open", scrypt_n=SCRYPT_N_LIGHT)

    assert caught.value.code == "keystore.exists"
    assert place.read_bytes() == before
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["mine.json"]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder that is a file, and one that takes nothing, have a typed error."""
    (tmp_path / "file").write_text("x")

    for place in (tmp_path / "file" / "key.json", tmp_path / ("n" * 300)):
        with pytest.raises(Unavailable) as caught:
            write_private(place, b"secret")
        assert caught.value.code == "keystore.write"


def test_wrong_password() -> None:
    """A wrong password is told from a wrong file."""
    with pytest.raises(Rejected) as caught:
        decrypt(json.dumps(PBKDF2).encode(), "testpasswort")

    assert caught.value.code == "keystore.password"


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there, or is a folder, cannot be read."""
    for place in (tmp_path / "none", tmp_path):
        with pytest.raises(Unavailable) as caught:
            load_key(place, "x")
        assert caught.value.code == "keystore.missing"


def light(**changes: Any) -> dict[str, Any]:
    """A document that opens quickly, with parts changed."""
    document: dict[str, Any] = Account.encrypt(SECRET, "x", kdf="pbkdf2", iterations=1)
    for path, value in changes.items():
        inside = document
        *steps, last = path.split("__")
        for step in steps:
            inside = inside[step]
        inside[last] = value
    return document


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 1},
        {"crypto": None},
        {"crypto__cipher": "aes-256-ctr"},
        {"crypto__cipherparams": 7},
        {"crypto__cipherparams__iv": "zz"},
        {"crypto__cipherparams__iv": "00"},
        {"crypto__ciphertext": 7},
        {"crypto__mac": "é"},
        {"crypto__kdf": "argon2"},
        {"crypto__kdfparams": []},
        {"crypto__kdfparams__prf": "hmac-sha1"},
        {"crypto__kdfparams__c": 0},
        {"crypto__kdfparams__c": 10**9},
        {"crypto__kdfparams__dklen": 64},
        {"crypto__kdfparams__salt": None},
        {"address": "00" * 20},
        {"address": 7},
    ],
    ids=str,
)
def test_malformed_documents(changes: dict[str, Any]) -> None:
    """A document of another form is malformed, also one that names another address than its key's."""
    with pytest.raises(Malformed):
        decrypt(json.dumps(light(**changes)).encode(), "x")


@pytest.mark.parametrize(
    "parameters",
    [{"n": 3}, {"n": 1 << 21}, {"n": 0}, {"r": 9}, {"r": 0}, {"p": 17}, {"p": 0}],
    ids=str,
)
def test_scrypt_costs_are_bounded(parameters: dict[str, int]) -> None:
    """A file cannot ask for a cost that no file needs."""
    document = json.loads(json.dumps(SCRYPT))
    document["crypto"]["kdfparams"] |= parameters

    with pytest.raises(Malformed):
        decrypt(json.dumps(document).encode(), "testpassword")


@pytest.mark.parametrize(("n", "r", "p"), [(2, 1, 16), (2, 8, 16), (16, 1, 1)])
def test_any_allowed_cost_is_computed(n: int, r: int, p: int) -> None:
    """Costs within the bounds, however odd, are computed: the password is wrong then, not the program."""
    document = json.loads(json.dumps(SCRYPT))
    document["crypto"]["kdfparams"] |= {"n": n, "r": r, "p": p}

    with pytest.raises(Rejected) as caught:
        decrypt(json.dumps(document).encode(), "testpassword")

    assert caught.value.code == "keystore.password"


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{" * 100, b"\xff", b" " * 20_000], ids=["empty", "list", "deep", "bytes", "long"]
)
def test_junk(data: bytes) -> None:
    """Bytes that are no keystore are malformed."""
    with pytest.raises(Malformed):
        decrypt(data, "x")


def test_short_secret() -> None:
    """A file whose secret is not 32 bytes holds no key."""
    with pytest.raises(Malformed):
        PrivateKey(SECRET[:31])


def test_address_of_the_vectors() -> None:
    """The vectors' key has the vectors' address."""
    assert PrivateKey(SECRET).address.hex() == ADDRESS
