"""Writes the vectors: for each kind a folder with `cases.json`, beside the FORMAT.md that says how to read it.

    python -m vectors.generate            writes what changed
    python -m vectors.generate --check    writes nothing; exit code 1 if a file differs

Regenerating a vector is approving a change of protocol.
"""

import json
import math
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from vectors import attestations, cases, enclave_lies, enclaves, exact, mutations, world, zkml

from paraph.core.encode import Json, canonical
from paraph.core.errors import Malformed, must
from paraph.proofs.bundle import decode_bundle
from paraph.proofs.check import judge
from paraph.proofs.policy import decode_trust
from paraph.proofs.quotes.claims import trust_class

HERE: Final = Path(__file__).parent
TRUSTS: Final = {
    "trust": world.TRUST,
    "trust-validators": world.TRUST_VALIDATORS,
    "trust-enclaves": enclaves.TRUST,
}
"""The trust files, by the names of theirs."""


# --- bundles -----------------------------------------------------------------------------------------------------


def bundles() -> Json:
    """The true bundles, each in a file of its own, and their verdicts."""
    return [
        {
            "file": f"{name}.json",
            "trust": f"{mutations.TRUSTS[name]}.json",
            "least": mutations.LEASTS[name],
            "verdict": [
                [claim.code, claim.outcome.value]
                for claim in judge(bundle, TRUSTS[mutations.TRUSTS[name]], trust_class(mutations.LEASTS[name])).claims
            ],
        }
        for name, bundle in mutations.BASES.items()
    ]


def edited(base: bytes, edits: Mapping[str, Json]) -> bytes:
    """The base with a case's edits, as FORMAT.md tells."""
    if "bytes" in edits:
        return bytes.fromhex(str(edits["bytes"])[2:])
    value: Any = json.loads(base)
    for path, new in edits.get("set", ()):  # type: ignore[union-attr, misc]
        *steps, last = path  # type: ignore[misc]
        _walk(value, steps)[last] = new
    for path in edits.get("remove", ()):  # type: ignore[union-attr]
        *steps, last = path  # type: ignore[misc]
        del _walk(value, steps)[last]
    text = canonical(value).decode() if "replace" not in edits else base.decode()
    for old, new in edits.get("replace", ()):  # type: ignore[union-attr, misc]
        must(text.count(str(old)) == 1, f"{old!r} occurs once")
        text = text.replace(str(old), str(new))
    return text.encode()


def _walk(value: Any, steps: list[Any]) -> Any:
    for step in steps:
        value = value[step]
    return value


def outcome(bundle: bytes, trust: bytes, least: str) -> dict[str, Json]:
    """What paraph says of a bundle, in the form of a case's `expect`."""
    try:
        verdict = judge(decode_bundle(bundle), decode_trust(trust), trust_class(least))
    except Malformed as error:
        return {"malformed": error.code}
    return {"failed": [code for code, _ in verdict.reasons]}


def bundles_invalid() -> Json:
    """The lies. Each is told, and what paraph says of it is what the case expects."""
    found = [*mutations.cases(), *enclave_lies.cases()]
    must(len({case.name for case in found}) == len(found), "no two cases have one name")
    for case in found:
        trust = TRUSTS[mutations.TRUSTS[case.base]].encode() if case.trust is None else canonical(case.trust)
        least = case.least or mutations.LEASTS[case.base]
        said = outcome(edited(mutations.BASES[case.base].encode(), case.edits), trust, least)
        must(said == case.expect, f"{case.name}: expected {case.expect}, found {said}")
    return [case.as_json() for case in found]


KINDS: Final = {
    **cases.KINDS,
    "attestation": attestations.attestations,
    "bundle": bundles,
    "bundle-invalid": bundles_invalid,
    "bundle-zkml": zkml.bundles,
    "zk": exact.proofs,
    "zk-forged": exact.forgeries,
}


def files() -> dict[str, Callable[[], bytes]]:
    """Every file of the vectors by its path, and what makes its bytes: some take seconds."""
    found: dict[str, Callable[[], bytes]] = {
        f"{kind}/cases.json": partial(_cases, make) for kind, make in KINDS.items()
    }
    found |= {f"bundle/{name}.json": bundle.encode for name, bundle in mutations.BASES.items()}
    return found | {f"bundle/{name}.json": trust.encode for name, trust in TRUSTS.items()}


def _cases(make: Callable[[], Json]) -> bytes:
    return _pretty(make())


def _pretty(value: Json) -> bytes:
    must(not isinstance(value, float) or math.isfinite(value), "JSON holds no NaN")
    return (json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode()


def main(arguments: list[str]) -> int:
    """Write or check. Returns the exit code."""
    check = arguments == ["--check"]
    differ = []
    for path, make in files().items():
        place, data = HERE / path, make()
        if place.exists() and place.read_bytes() == data:
            continue
        differ.append(path)
        if not check:
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(data)
    for path in differ:
        print(f"vectors/{path} {'differs' if check else 'written'}")
    return int(check and bool(differ))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
