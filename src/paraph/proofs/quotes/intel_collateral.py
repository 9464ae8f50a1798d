"""Intel's word on its chips, which a quote of TDX or SGX is checked against: nine pieces, signed by Intel.

They are which chips are revoked, which security versions are current, and what Intel's quoting enclave looks like. The
one who is asked for a quote brings them along, and they prove themselves; all that can be wrong is that they are old.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dcap_qvl import QuoteCollateralV3  # type: ignore[import-untyped]

from paraph.core import der
from paraph.core.encode import JsonObject, as_integer, as_object, as_text, decode
from paraph.core.errors import Malformed
from paraph.proofs.quotes import pem
from paraph.proofs.quotes.claims import refuse

PARTS: Final = (
    "pck_crl_issuer_chain",
    "root_ca_crl",
    "pck_crl",
    "tcb_info_issuer_chain",
    "tcb_info",
    "tcb_info_signature",
    "qe_identity_issuer_chain",
    "qe_identity",
    "qe_identity_signature",
)
"""In the order of the library, and of `Evidence.collateral`: chains in PEM, lists in DER, statements in JSON."""
TEXTS: Final = frozenset(PARTS) - {"root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature"}
PART_BYTES_MAX: Final = 16 * 1024
"""The largest ones seen, statements on security versions and lists of revoked chips, have 7 kB."""
SIGNATURE_BYTES: Final = 64
AGE_S_MAX: Final = 7 * 24 * 3_600
"""Intel's word holds for 30 days; in that time a chip may be found broken. Peers take it for seven."""
_ENGINE: Final = re.compile(r"[0-9A-Fa-f]{4}", re.ASCII)
_TIME: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Collateral:
    """The nine pieces, read and not yet believed.

    Args:
        library: as the library takes them.
        revocations: the two lists of what is revoked, as DER.
        authority: chain of the list of revoked chips, as DER, root last.
        signers: chains of the two statements, as DER, root last.
        engine: of which provisioning engine's chips the statement on versions is (PCE-ID).
        issued_s: when each piece that Intel renews every month was issued, Unix seconds, by name.
        until_s: until when each list of what is revoked holds; the library looks at the statements' ends.
    """

    library: QuoteCollateralV3
    revocations: tuple[bytes, bytes]
    authority: tuple[bytes, ...]
    signers: tuple[tuple[bytes, ...], tuple[bytes, ...]]
    engine: bytes
    issued_s: tuple[tuple[str, int], ...]
    until_s: tuple[tuple[str, int], ...]


def collateral_of(parts: Sequence[bytes]) -> Collateral:
    """Read the nine pieces from a stranger.

    Raises:
        Unverified: `quote.collateral`.
    """
    if len(parts) != len(PARTS):
        refuse("quote.collateral", f"Intel's collateral has {len(PARTS)} pieces, not {len(parts)}")
    named = dict(zip(PARTS, parts, strict=True))
    for name, part in named.items():
        size = SIGNATURE_BYTES if name.endswith("signature") else None
        if not 0 < len(part) <= PART_BYTES_MAX or size not in {None, len(part)}:
            refuse("quote.collateral", f"{name} of Intel's collateral has {size or f'1 to {PART_BYTES_MAX}'} bytes")
    try:
        versions, identity = (_said(named[name], name) for name in ("tcb_info", "qe_identity"))
        listed = {name: _listed_s(named[name], name) for name in ("root_ca_crl", "pck_crl")}
        return Collateral(
            library=QuoteCollateralV3(*(part.decode() if name in TEXTS else part for name, part in named.items())),
            revocations=(named["root_ca_crl"], named["pck_crl"]),
            authority=_chain(named, "pck_crl_issuer_chain"),
            signers=(_chain(named, "tcb_info_issuer_chain"), _chain(named, "qe_identity_issuer_chain")),
            engine=_engine(versions),
            issued_s=(
                ("tcb_info", _issued_s(versions, "tcb_info")),
                ("qe_identity", _issued_s(identity, "qe_identity")),
                ("pck_crl", listed["pck_crl"][0]),
            ),
            until_s=tuple((name, until_s) for name, (_, until_s) in listed.items()),
        )
    except UnicodeDecodeError as error:
        refuse("quote.collateral", f"a text of Intel's collateral is not UTF-8: {error.reason}")
    except Malformed as error:
        refuse("quote.collateral", error.message)


def parts_of(collateral: QuoteCollateralV3) -> tuple[bytes, ...]:
    """The nine pieces of what the library fetched, to be sent along with a quote."""
    found = (getattr(collateral, name) for name in PARTS)
    return tuple(part.encode() if isinstance(part, str) else part for part in found)


def check_age(collateral: Collateral, now_s: int, age_s_max: int) -> None:
    """Check that Intel's word is recent.

    Raises:
        Unverified: `quote.collateral_time`: from the future, or over; `quote.collateral_age`: too old.
    """
    for name, issued_s in collateral.issued_s:
        if issued_s > now_s:
            refuse("quote.collateral_time", f"{name} of Intel's collateral is {issued_s - now_s} s ahead of time")
        if now_s - issued_s > age_s_max:
            refuse("quote.collateral_age", f"{name} is {now_s - issued_s} s old; at most {age_s_max} are taken")
    for name, until_s in collateral.until_s:
        if until_s < now_s:
            refuse("quote.collateral_time", f"{name} of Intel's collateral has held until {now_s - until_s} s ago")


def is_newer(before: Sequence[bytes], after: Sequence[bytes]) -> bool:
    """Whether every statement in the second was issued when that in the first was, or later, and one of them later.

    Raises:
        Unverified: `quote.collateral`: one of the two is none.
    """
    old, new = (dict(collateral_of(parts).issued_s) for parts in (before, after))
    return old != new and all(new[name] >= issued_s for name, issued_s in old.items())


def _chain(named: Mapping[str, bytes], name: str) -> tuple[bytes, ...]:
    return pem.certificates(named[name], name)


def _said(statement: bytes, what: str) -> JsonObject:
    return as_object(decode(statement, bytes_max=PART_BYTES_MAX), what)


def _engine(said: JsonObject) -> bytes:
    """What the library does not look at: whose chips are meant, and that their versions are compared in the one way."""
    as_integer(said.get("tcbType"), "the type of security versions", high=0)
    found = as_text(said.get("pceId"), "the provisioning engine")
    if not _ENGINE.fullmatch(found):
        raise Malformed("json.shape", "the provisioning engine is not four hexadecimal digits")
    return bytes.fromhex(found)


def _issued_s(said: JsonObject, what: str) -> int:
    found = _TIME.fullmatch(as_text(said.get("issueDate"), f"the date of {what}"))
    if found is None:
        raise Malformed("json.shape", f"the date of {what} is not in the form of Intel's")
    return der.time_s(der.Value(der.GENERALIZED_TIME, "".join(found.groups()).encode() + b"Z", b""), what)


def _listed_s(revoked: bytes, what: str) -> tuple[int, int]:
    """When a list of revoked certificates was issued, and until when it holds (RFC 5280, section 5.1)."""
    top = der.sequence(der.read(revoked, what), what)
    fields = der.sequence(top[0], what) if top else []
    if len(fields) < 5:
        raise Malformed("der.form", f"{what} is no list of revoked certificates")
    return der.time_s(fields[3], what), der.time_s(fields[4], what)
