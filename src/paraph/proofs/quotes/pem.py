"""Certificates in PEM (RFC 7468), in the one form that makers of hardware write: no text between, lines of 64 letters.

Libraries read far more than that, each something else. What only one of them reads is refused here.
"""

import re
from base64 import b64decode, b64encode
from typing import Final

from paraph.core.errors import Malformed

LINE: Final = 64
_BLOCK: Final = re.compile(rb"-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=\n]+)-----END CERTIFICATE-----\n")


def certificates(data: bytes, what: str) -> tuple[bytes, ...]:
    """The certificates of a chain, as DER, in its order.

    Raises:
        Malformed: `pem.form`.
    """
    try:
        found = tuple(b64decode(block) for block in _BLOCK.findall(data))
    except ValueError as error:
        raise Malformed("pem.form", f"{what} holds letters that are no base64") from error
    if not found or b"".join(map(written, found)) != data:
        raise Malformed("pem.form", f"{what} is not certificates in PEM alone, in lines of {LINE} letters")
    return found


def written(certificate: bytes) -> bytes:
    """A certificate in that form."""
    letters = b64encode(certificate)
    lines = b"".join(letters[at : at + LINE] + b"\n" for at in range(0, len(letters), LINE))
    return b"-----BEGIN CERTIFICATE-----\n" + lines + b"-----END CERTIFICATE-----\n"
