"""Bundles of the layer zkml, true and false; proofs in them are by the slow prover of the tests."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from tests.support.build import HEIGHT, STRANGER, TRUST, Case
from tests.support.exact import DUE, ENTRIES, RUN, Told, body, build_exact, proof, response

from paraph.core.digest import sha256
from paraph.core.encode import Json
from paraph.core.errors import must
from paraph.core.ident import ZERO_DIGEST, to_hex
from paraph.proofs.check import judge
from paraph.proofs.promised import Promise
from paraph.proofs.verdict import Outcome
from paraph.proofs.zk.statement import Mode

TRUE: Final[Mapping[str, Callable[[], Case]]] = {
    "promised": lambda: build_exact(None),
    "proven, hiding": build_exact,
    "proven, succinct": lambda: build_exact(Told(Mode.SUCCINCT)),
}
OTHER: Final = replace(RUN, outputs=RUN.outputs[:-1] + b"\x01")
LIES: Final[tuple[tuple[str, Callable[[], Case], str], ...]] = (
    (
        "a promise of another output",
        lambda: build_exact(None, promise=Promise(OTHER.commitment, DUE)),
        "evidence.layer",
    ),
    (
        "a promise that is due when it is made",
        lambda: build_exact(None, promise=Promise(RUN.commitment, HEIGHT - 2)),
        "evidence.layer",
    ),
    ("no promise", lambda: build_exact(None, evidence={"layer": "signature"}), "evidence.layer"),
    (
        "another salt in the response",
        lambda: build_exact(None, response=response(salt=to_hex(ZERO_DIGEST))),
        "evidence.layer",
    ),
    (
        "no salt in the body",
        lambda: build_exact(None, body={name: each for name, each in body().items() if name != "salt"}),
        "evidence.layer",
    ),
    ("a record of another graph", lambda: build_exact(None, record={"graph": sha256(b"x")}), "registry.exact"),
    ("a record of another version", lambda: build_exact(None, record={"version": 2}), "registry.exact"),
    ("a proof by another node", lambda: build_exact(Told(prover=STRANGER.address)), "proof.verified"),
    (
        "requests in another order",
        lambda: build_exact(shown=replace(proof(), entries=ENTRIES[::-1], index=0)),
        "proof.verified",
    ),
    ("another output, promised so", lambda: build_exact(run=OTHER), "proof.verified"),
    ("a proof of no bytes", lambda: build_exact(shown=replace(proof(), data=b"")), "proof.verified"),
    ("a record of another proof", lambda: build_exact(proven={"batch": sha256(b"x")}), "proof.recorded"),
)
"""Each fails one claim, written here by hand from the specification."""


def bundles() -> Json:
    """The trust file, the true bundles with their verdicts, and the false ones with the claim that fails."""
    return {"trust": TRUST.as_json(), "true": list(_true()), "lies": list(_lies())}


def _true() -> Iterator[Json]:
    for name, make in TRUE.items():
        case = make()
        verdict = judge(case.bundle, case.trust)
        must(verdict.verified, f"{name} verifies")
        claims: list[Json] = [[claim.code, claim.outcome.value] for claim in verdict.claims]
        yield {"name": name, "bundle": case.bundle.as_json(), "verdict": claims}


def _lies() -> Iterator[Json]:
    for name, make, code in LIES:
        case = make()
        found = [claim.code for claim in judge(case.bundle, case.trust).claims if claim.outcome is Outcome.FAIL]
        must(found == [code], f"{name}: expected {code}, found {found}")
        yield {"name": name, "bundle": case.bundle.as_json(), "failed": code}
