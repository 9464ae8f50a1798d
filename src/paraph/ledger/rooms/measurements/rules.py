"""Approving and revoking releases, and revoking certificates and machines: by the governor, until governance exists.

Nothing revoked comes back, and nothing approved changes: what ran under it yesterday can be checked for good.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from paraph.core import abi
from paraph.core.errors import Rejected
from paraph.core.ident import ZERO_DIGEST, Digest, to_hex
from paraph.core.limits import NAME_BYTES_MAX, PAGE_MAX
from paraph.ledger.contract import Call
from paraph.ledger.rooms.measurements.keys import (
    LIST,
    RELEASES,
    REVOKED,
    SIMULATED_ROOT,
    certificate_name,
    module_name,
)
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.state import State
from paraph.proofs.quotes.claims import Claims
from paraph.proofs.quotes.policy import PINNED
from paraph.proofs.records import Enclave, Release, release_id

APPROVED = abi.event("ReleaseApproved(bytes32 indexed release, string platform, string name, string source)")
RELEASE_REVOKED = abi.event("ReleaseRevoked(bytes32 indexed release)")
CERTIFICATE_REVOKED = abi.event("CertificateRevoked(bytes issuer, uint256 serial)")
MODULE_REVOKED = abi.event("ModuleRevoked(string platform, string module)")

MEASUREMENTS_MAX: Final = 32
MEASUREMENT_BYTES_MAX: Final = 64
MODULE_BYTES_MAX: Final = 256
ISSUER_BYTES_MAX: Final = 1_024


@dataclass(frozen=True, slots=True)
class GenesisRelease:
    """A release that a network starts with.

    Args:
        platform: on which.
        name: how people call it.
        measurements: by the platform's names.
        source: the commit it was built from, or where to find it.
        provenance: digest of a statement of how it was built; zero for none.
    """

    platform: str
    name: str
    measurements: Mapping[str, bytes]
    source: str
    provenance: Digest = ZERO_DIGEST


def begin(state: State, simulated_root: bytes, releases: Sequence[GenesisRelease]) -> None:
    """The room at genesis. Raises `Rejected` (`measurements.…`) for a release that could not be approved."""
    if simulated_root:
        state.put(SIMULATED_ROOT, simulated_root)
    for each in releases:
        _add(state, each, 0)


def simulated_root(state: State) -> bytes:
    """The root of simulated enclaves, DER; empty on every network but a development network."""
    return state.get(SIMULATED_ROOT) or b""


def find(state: State, release: Digest) -> Release:
    """A release. Raises `Rejected` (`measurements.unknown`)."""
    found = RELEASES.get(state, release)
    if found is None:
        raise Rejected("measurements.unknown", f"no release {to_hex(release)} was approved")
    return found


def need_unrevoked(state: State, claims: Claims) -> None:
    """Check that nothing an enclave stands on is revoked.

    Raises:
        Rejected: `measurements.certificate_revoked`, `measurements.module_revoked`.
    """
    for issuer, serial in claims.certificates:
        if REVOKED.get(state, certificate_name(issuer, serial)):
            raise Rejected("measurements.certificate_revoked", f"the certificate {serial:#x} of its issuer is revoked")
    if REVOKED.get(state, module_name(claims.platform, claims.module)):
        raise Rejected("measurements.module_revoked", f"{claims.platform} {claims.module} is revoked")


def revoked_since(state: State, enclave: Enclave) -> str | None:
    """What an enclave stands on that is revoked by now: `release`, `certificate` or `module`; None when nothing is."""
    if find(state, enclave.release).height_last:
        return "release"
    if any(REVOKED.get(state, name) for name in enclave.certificates):
        return "certificate"
    return "module" if REVOKED.get(state, module_name(enclave.platform, enclave.module)) else None


def approve(
    call: Call,
    platform: str,
    name: str,
    names: tuple[str, ...],
    values: tuple[bytes, ...],
    source: str,
    provenance: Digest,
) -> bytes:
    """`approve`: enclaves that run this code may be registered from now on. Returns the release's id."""
    _need_governor(call)
    if len(names) != len(values):
        raise Rejected("measurements.form", f"{len(names)} names for {len(values)} measurements")
    if len(set(names)) != len(names):
        raise Rejected("measurements.form", "a measurement is named twice")
    made = GenesisRelease(platform, name, dict(zip(names, values, strict=True)), source, provenance)
    release = _add(call.state, made, call.facts.height)
    call.emit(call.to, APPROVED, release, platform, name, source)
    return release


def revoke(call: Call, release: Digest) -> None:
    """`revoke`: enclaves that run this code sign no receipts from now on. What they signed until now still settles."""
    _need_governor(call)
    found = find(call.state, release)
    if found.height_last:
        raise Rejected("measurements.revoked", f"the release was revoked at block {found.height_last}")
    ended = replace(found, height_last=max(call.facts.height, 1), revoked_s=max(call.facts.time_s, 1))
    RELEASES.put(call.state, release, ended)
    call.emit(call.to, RELEASE_REVOKED, release)


def revoke_certificate(call: Call, issuer: bytes, serial: int) -> None:
    """`revokeCertificate`: no enclave under it is registered any more; anyone may have those that are closed."""
    _need_governor(call)
    if not 0 < len(issuer) <= ISSUER_BYTES_MAX:
        raise Rejected("measurements.form", f"an issuer is a DER name of 1 to {ISSUER_BYTES_MAX} bytes")
    _revoke(call, certificate_name(issuer, serial))
    call.emit(call.to, CERTIFICATE_REVOKED, issuer, serial)


def revoke_module(call: Call, platform: str, module: str) -> None:
    """`revokeModule`: the same for one enclave, or all of one chip, by the platform's name of it."""
    _need_governor(call)
    if platform not in PINNED or not _MODULE.fullmatch(module) or len(module) > MODULE_BYTES_MAX:
        known = ", ".join(sorted(PINNED))
        raise Rejected("measurements.form", f"a platform ({known}) and its name of a machine, as `enclave` shows it")
    _revoke(call, module_name(platform, module))
    call.emit(call.to, MODULE_REVOKED, platform, module)


def get(call: Call, release: Digest) -> tuple[object, ...]:
    """`get`: a release."""
    found = find(call.state, release)
    names = tuple(name.decode() for name in found.names)
    return (
        found.platform,
        found.name,
        names,
        found.values,
        found.source,
        found.provenance,
        found.height_first,
        found.height_last,
    )


def is_revoked(call: Call, name: Digest) -> int:
    """`revokedAt`: the height at which a certificate or machine was revoked, by its name's digest; 0 when it is not."""
    return REVOKED.get(call.state, name)


def count(call: Call) -> int:
    """`count`: releases ever approved."""
    return LIST.count(call.state)


def page(call: Call, start: int, limit: int) -> tuple[bytes, ...]:
    """`page`: releases in order of approval."""
    limit = min(limit, PAGE_MAX)
    call.charge(2_000 * limit)
    return tuple(LIST.page(call.state, start, limit))


def _add(state: State, made: GenesisRelease, height: int) -> Digest:
    if made.platform not in PINNED:
        known = ", ".join(sorted(PINNED))
        raise Rejected("measurements.platform", f"{made.platform[:40]!a} is no platform; there are {known}")
    for text in (made.name, made.source):
        if not (text.isascii() and text.isprintable() and 0 < len(text) <= NAME_BYTES_MAX):
            raise Rejected(
                "measurements.name", f"name and source are 1 to {NAME_BYTES_MAX} printable ASCII characters each"
            )
    found = made.measurements
    missing = [name for name in PINNED[made.platform] if not any(found.get(name, b""))]
    if missing:
        # What is left out or zero would be true of any code, or of an enclave that was started for debugging.
        raise Rejected("measurements.empty", f"a release for {made.platform} names {', '.join(missing)}, not zero")
    floors = [name for name in FLOORS.get(made.platform, ()) if name not in found]
    if floors:
        # Without, a host could go back to firmware with a known hole, for which the maker's certificate is as good.
        raise Rejected("measurements.floor", f"a release for {made.platform} names {', '.join(floors)}")
    if len(found) > MEASUREMENTS_MAX or not all(
        _NAME.fullmatch(name) and 0 < len(value) <= MEASUREMENT_BYTES_MAX for name, value in found.items()
    ):
        raise Rejected(
            "measurements.form",
            f"at most {MEASUREMENTS_MAX} measurements of 1 to {MEASUREMENT_BYTES_MAX} bytes, named in small letters",
        )
    release = release_id(made.platform, found)
    if RELEASES.get(state, release) is not None:
        raise Rejected("measurements.exists", "this release was approved before; what is revoked stays so")
    names = sorted(found)
    record = Release(
        made.platform,
        made.name,
        tuple(name.encode() for name in names),
        tuple(found[name] for name in names),
        made.source,
        made.provenance,
        height,
        0,
        0,
    )
    RELEASES.put(state, release, record)
    LIST.append(state, release)
    return release


FLOORS: Final[Mapping[str, tuple[str, ...]]] = {"snp": ("min_snp", "min_microcode")}
"""By platform: the lowest security versions that a release must name. Intel says itself what a version is worth."""
_MODULE: Final = re.compile(r"(sim-)?i-[0-9a-f]+-enc[0-9a-f]+|[0-9a-f]+")
"""An enclave of Nitro's, or a chip."""
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")


def _revoke(call: Call, name: Digest) -> None:
    if REVOKED.get(call.state, name):
        raise Rejected("measurements.revoked", "it was revoked before")
    REVOKED.put(call.state, name, max(call.facts.height, 1))


def _need_governor(call: Call) -> None:
    if call.sender != params.governor(call.state):
        raise Rejected("measurements.governor", "only the governor may approve and revoke")
