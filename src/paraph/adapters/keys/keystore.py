"""Private keys in encrypted files: Ethereum's Web3 Secret Storage, version 3, mode 0600.

scrypt turns the password into a key, AES-128-CTR encrypts, a Keccak-256 MAC tells a wrong password. The same files
open in geth, MetaMask and eth-account. Who has the file and not the password has to guess it, slowly.
"""

import hashlib
import json
import os
import secrets
import uuid
from hmac import compare_digest
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from paraph.core.digest import keccak256
from paraph.core.encode import Json, JsonObject, as_integer, as_object, as_text, decode
from paraph.core.errors import Malformed, Rejected, Unavailable
from paraph.core.keys import PrivateKey

SCRYPT_N: Final = 1 << 18
"""Cost of scrypt: 256 MiB and about a second, geth's standard."""
SCRYPT_N_LIGHT: Final = 1 << 12
"""Cost for keys of a devnet, which guard nothing: 4 MiB and milliseconds."""
SCRYPT_N_MAX: Final = 1 << 20
KEYSTORE_BYTES_MAX: Final = 16 * 1024
PBKDF2_ROUNDS_MAX: Final = 10_000_000


def new_key() -> PrivateKey:
    """A fresh private key."""
    return PrivateKey(secrets.token_bytes(32))


def save_key(path: Path, key: PrivateKey, password: str, *, scrypt_n: int = SCRYPT_N) -> None:
    """Write the key, encrypted, to a new file of mode 0600.

    Raises:
        Rejected: `keystore.exists`: never overwrites. Unavailable: `keystore.write`.
    """
    salt, iv = secrets.token_bytes(32), secrets.token_bytes(16)
    derived = _scrypt(password, salt, scrypt_n, 8, 1, 32)
    ciphertext = _aes_ctr(derived[:16], iv, key.dangerous_secret())
    document = {
        "version": 3,
        "id": str(uuid.UUID(bytes=secrets.token_bytes(16), version=4)),
        "address": key.address.hex(),
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": iv.hex()},
            "ciphertext": ciphertext.hex(),
            "kdf": "scrypt",
            "kdfparams": {"dklen": 32, "n": scrypt_n, "r": 8, "p": 1, "salt": salt.hex()},
            "mac": keccak256(derived[16:32] + ciphertext).hex(),
        },
    }
    write_private(path, json.dumps(document, indent=1).encode())


def load_key(path: Path, password: str) -> PrivateKey:
    """Open a key file.

    Raises:
        Unavailable: `keystore.missing`. Malformed: `keystore.form`. Rejected: `keystore.password`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(KEYSTORE_BYTES_MAX + 1)
    except OSError as error:
        raise Unavailable("keystore.missing", f"{path} cannot be read: {error.strerror}") from error
    return decrypt(data, password)


def decrypt(data: bytes, password: str) -> PrivateKey:
    """Open a keystore document. Raises as `load_key` does."""
    found = as_object(decode(data, bytes_max=KEYSTORE_BYTES_MAX), "the keystore")
    if found.get("version") != 3:
        raise Malformed("keystore.form", "the keystore's version must be 3")
    crypto = as_object(found.get("crypto", found.get("Crypto")), "crypto")
    if crypto.get("cipher") != "aes-128-ctr":
        raise Malformed("keystore.form", "the keystore's cipher must be aes-128-ctr")
    iv = _hex(as_object(crypto.get("cipherparams"), "cipherparams").get("iv"), "iv")
    ciphertext = _hex(crypto.get("ciphertext"), "ciphertext")
    derived = _derive(crypto, password)
    expected = keccak256(derived[16:32] + ciphertext)
    if not compare_digest(expected, _hex(crypto.get("mac"), "mac")):
        raise Rejected("keystore.password", "the password does not open this key")
    if len(iv) != 16:
        raise Malformed("keystore.form", "the keystore's iv must be 16 bytes")
    key = PrivateKey(_aes_ctr(derived[:16], iv, ciphertext))
    # The MAC does not cover the address, which people read to know whose key it is.
    if "address" in found and _hex(found["address"], "address") != key.address:
        raise Malformed("keystore.form", "the keystore's address is not that of its key")
    return key


def write_private(path: Path, data: bytes) -> None:
    """Write a new file of mode 0600, whole or not at all.

    Raises:
        Rejected: `keystore.exists`: the file is there already. Unavailable: `keystore.write`.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable("keystore.write", f"{path.parent} cannot be made a folder: {error.strerror}") from error
    temporary = path.with_name(f".{secrets.token_hex(12)}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # A hard link fails where the name is taken: an existing key is never overwritten.
        os.link(temporary, path)
    except FileExistsError as error:
        raise Rejected("keystore.exists", f"{path} exists already; choose another name") from error
    except OSError as error:
        raise Unavailable("keystore.write", f"{path} cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _derive(crypto: JsonObject, password: str) -> bytes:
    parameters = as_object(crypto.get("kdfparams"), "kdfparams")
    salt = _hex(parameters.get("salt"), "salt")
    if as_integer(parameters.get("dklen"), "dklen", 32, 64) != 32:
        raise Malformed("keystore.form", "the keystore's dklen must be 32")
    match crypto.get("kdf"):
        case "scrypt":
            n = as_integer(parameters.get("n"), "n", 2, SCRYPT_N_MAX)
            r, p = as_integer(parameters.get("r"), "r", 1, 8), as_integer(parameters.get("p"), "p", 1, 16)
            return _scrypt(password, salt, n, r, p, 32)
        case "pbkdf2":
            if parameters.get("prf") != "hmac-sha256":
                raise Malformed("keystore.form", "the keystore's prf must be hmac-sha256")
            rounds = as_integer(parameters.get("c"), "c", 1, PBKDF2_ROUNDS_MAX)
            return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds, 32)
        case _:
            raise Malformed("keystore.form", "the keystore's kdf must be scrypt or pbkdf2")


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int, size: int) -> bytes:
    if n & (n - 1):
        raise Malformed("keystore.form", "scrypt's n must be a power of two")
    try:
        # Twice what RFC 7914 needs, 128 r (n + p) bytes.
        return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 * r * (n + p + 2), dklen=size)
    except ValueError as error:
        # RFC 7914 section 6 wants n < 2^(16 r), and OpenSSL keeps to it. Wallets write r = 8.
        raise Malformed("keystore.form", f"scrypt is not defined for n = {n} with r = {r} (RFC 7914)") from error


def _aes_ctr(key: bytes, iv: bytes, data: bytes) -> bytes:
    cipher = Cipher(AES(key), CTR(iv)).encryptor()
    return cipher.update(data) + cipher.finalize()


def _hex(value: Json, what: str) -> bytes:
    try:
        return bytes.fromhex(as_text(value, what, bytes_max=1024).removeprefix("0x"))
    except ValueError as error:
        raise Malformed("keystore.form", f"the keystore's {what} is not hex") from error
