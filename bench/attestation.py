"""Attestation: what it costs to verify each platform's evidence, to meet an enclave, and to ask one instead of a node.

Evidence comes from the tests' makers, under roots of their own: its form and its signatures are those of real evidence,
of which some is verified, too, where it lies beside the checkout. Meetings and answers are a devnet's, whose enclave is
simulated: it attests as fast as this machine signs, where a real platform's module takes milliseconds of its own.
"""

import itertools
import operator
import ssl
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import dcap_qvl  # type: ignore[import-untyped]
import httpx
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.hashes import SHA384
from tests.support import nitro as nitro_made
from tests.support import nvidia as nvidia_made
from tests.support import snp as snp_made
from tests.support import tdx as tdx_made

from bench.figures import Figure, Parameter, Result
from bench.rounds import Task, Timing, Work, again, alternate
from paraph.adapters.enclaves.simulated import CERTIFICATE, SimulatedEnclave, make_root
from paraph.adapters.signatures import Remembering, remembering
from paraph.adapters.system import SystemClock, random_bytes
from paraph.core.encode import canonical
from paraph.core.ident import Digest
from paraph.devnet.models import patient
from paraph.devnet.network import Devnet
from paraph.proofs.quotes import evidence, nitro, nvidia, snp, tdx
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.quotes.ecdsa import p384_sha384, raw_signature
from paraph.proofs.quotes.evidence import CHECKS, NO_ROOT, Checks, Evidence
from paraph.proofs.quotes.intel_collateral import parts_of
from paraph.proofs.quotes.rsa import KEY_BITS, SALT_BYTES
from paraph.proofs.quotes.x509 import read_certificate
from paraph.sdk.client import Client

RECORDED: Final = Path(__file__).parents[2] / "shared" / "vectors" / "attestation"
"""What real platforms signed, where it lies beside the checkout."""
TDX_RECORDED_S: Final = 1_750_414_563
"""A day after Intel gave its word on the recorded quote."""
MODEL: Final = "breast-cancer"
ROWS: Final = 24
"""Of thirty measurements each: a question of about 4 kB."""
TERMS: Final[dict[str, dict[str, Any]]] = {
    "signature": {},
    "tee": {"layer": "tee", "min_trust": "simulated"},
    "sealed": {"layer": "tee", "min_trust": "simulated", "private": True},
}
MEASURED: Final = {f"pcr{index}": bytes((index + 1,)) * 48 for index in range(3)}
WARM: Final = 5
"""Questions and meetings before the first that counts."""

Signature: TypeAlias = tuple[bytes, bytes, bytes]
"""A key, a message, and the signature."""


def run(folder: Path, *, quick: bool) -> Result:
    """Measure."""
    count, rounds = (10, 3) if quick else (50, 15)
    meetings, answers = (10, 20) if quick else (200, 1_000)
    figures = [*_nitro(folder / "enclave", count, rounds), *_others(count, rounds)]
    devnet = Devnet(folder / "devnet")
    try:
        devnet.up(lambda _: None)
        with Client.open(devnet.network_file, devnet.key("user")) as client:
            figures += _contact(devnet, client, meetings)
            found, size = _answers(client, answers)
    finally:
        devnet.down()
    parameters: dict[str, Parameter] = {"evidence": count, "rounds": rounds, "meetings": meetings, "answers": answers}
    return Result([*figures, *found], parameters | {"question_bytes": size, "recorded": RECORDED.exists()})


# --- evidence, by the processor -----------------------------------------------------------------------------------


def _nitro(folder: Path, count: int, rounds: int) -> list[Figure]:
    """Documents of one enclave, each for another nonce, by how many of their signatures were seen before."""
    clock = SystemClock()
    folder.mkdir()
    make_root(folder, clock)
    enclave = SimulatedEnclave(folder, MEASURED, clock)
    shown = [enclave.attest(b"d" * 64, Digest(random_bytes(32)), b"k" * 32) for _ in range(count)]
    root, now_s = (folder / CERTIFICATE).read_bytes(), clock.now_ms() // 1000

    def verify(checks: Sequence[Checks]) -> Work:
        def work() -> None:
            for each, known in zip(shown, checks, strict=True):
                evidence.verify(each, root, now_s, known)

        return work

    def knowing(count_known: int) -> Task:
        """Each document by a memory that holds so many of its signatures, from the root down, and no others."""

        def prepare() -> Work:
            return verify([_knowing(_signatures(each)[:count_known]) for each in shown])

        return Task(count, prepare)

    total = len(_signatures(shown[0]))
    found = alternate(
        rounds,
        cold=Task(count, lambda: verify([CHECKS] * count)),
        authorities=knowing(total - 2),
        enclave=knowing(total - 1),
        whole=knowing(total),
        alone=_p384(count),
    )
    rows = (
        ("nothing seen before (wanted: 3 ms)", "cold", total),
        ("its authorities seen before (wanted: 1 ms)", "authorities", 2),
        ("its authorities and its enclave's certificate seen before", "enclave", 1),
    )
    figures = [_beside(f"Nitro document, {name}", found[task], number, found["alone"]) for name, task, number in rows]
    return [*figures, Figure("Nitro document, seen before", found["whole"].cpu_s * 1e3, "ms", cpu=True)]


def _signatures(shown: Evidence) -> list[Signature]:
    """All that stand in a document: of the certificates below the root, then its own."""
    document = nitro.read(shown.document)
    path = [read_certificate(each, "a certificate") for each in (*document.authorities, document.certificate)]
    of_path = [(above.key, each.tbs, raw_signature(each.signature, 48)) for above, each in itertools.pairwise(path)]
    return [*of_path, (path[-1].key, nitro.signing_input(document.payload), document.signature)]


def _knowing(signatures: Sequence[Signature]) -> Checks:
    found = Remembering(p384_sha384)
    for each in signatures:
        assert found(*each)
    return Checks(found)


def _others(count: int, rounds: int) -> list[Figure]:
    """The other platforms, and what real ones signed."""
    chain = (
        snp_made.authority("ARK", "ARK", None),
        snp_made.authority("ASK", "ARK", 0),
        snp_made.chip(snp_made.EXTENSIONS),
    )
    amd, report, known = snp.Root(chain[0], TrustClass.HARDWARE, snp.GENOA), snp_made.Made().report(), remembering()
    intel = tdx.Root(tdx_made.certificate("root"), TrustClass.HARDWARE)
    quote, parts = tdx_made.TDX.quote(), tdx_made.TDX.parts()
    maker = nvidia.Root(nvidia_made.root(), TrustClass.SIMULATED)
    device = nvidia_made.GPU.made()

    def with_tdx() -> None:
        tdx.verify(tdx.read(quote), parts, intel, tdx_made.NOW_S)

    def with_snp(checks: Checks) -> Work:
        def work() -> None:
            snp.verify(snp.read(report), chain, amd, snp_made.NOW_S, checks.pss, p384_sha384)

        return work

    def with_nvidia() -> None:
        nvidia.verify(nvidia.read(device), maker, nvidia_made.NONCE, nitro_made.NOW_S, p384_sha384)

    with_snp(known)()
    recorded = _recorded() if RECORDED.exists() else {}
    found = alternate(
        rounds,
        tdx=_many(with_tdx, count),
        snp=_many(with_snp(CHECKS), count),
        snp_known=_many(with_snp(known), count),
        nvidia=_many(with_nvidia, count),
        p384=_p384(count),
        rsa=_rsa(count),
        **{name: _many(work, count) for name, work in recorded.items()},
    )
    amd_alone_ms = (2 * found["rsa"].cpu_s + found["p384"].cpu_s) * 1e3
    cold, other = "SNP report, nothing seen before (wanted: 3 ms)", "OpenSSL alone, 2 RSA-4096 and a P-384"
    return [
        Figure("TDX quote with its collateral (wanted: 4 ms)", found["tdx"].cpu_s * 1e3, "ms", cpu=True),
        Figure(cold, found["snp"].cpu_s * 1e3, "ms", other, amd_alone_ms, cpu=True),
        _beside("SNP report, its certificates seen before", found["snp_known"], 1, found["p384"]),
        _beside("NVIDIA device's report", found["nvidia"], len(nvidia.read(device).certificates), found["p384"]),
        *(Figure(name, found[name].cpu_s * 1e3, "ms", cpu=True) for name in recorded),
    ]


def _recorded() -> dict[str, Work]:
    """Verifying a real platform's evidence, by its name, at the evidence's own time."""
    document = min((RECORDED / "nitro").glob("*.bin")).read_bytes()
    collateral = dcap_qvl.QuoteCollateralV3.from_json((RECORDED / "dcap" / "tdx_quote_collateral.json").read_text())
    quote, parts = (RECORDED / "dcap" / "tdx_quote").read_bytes(), parts_of(collateral)
    nitro_s = nitro.read(document).time_ms // 1000
    of_aws = Evidence("nitro", document)
    of_intel = Evidence("tdx", quote[: tdx.size_of(quote)], parts)

    def with_nitro() -> None:
        evidence.verify(of_aws, NO_ROOT, nitro_s)

    def with_tdx() -> None:
        evidence.verify(of_intel, NO_ROOT, TDX_RECORDED_S)

    return {
        "Nitro document of a real enclave, nothing seen before (wanted: 3 ms)": with_nitro,
        "TDX quote of a real machine with its collateral (wanted: 4 ms)": with_tdx,
    }


def _beside(name: str, found: Timing, signatures: int, alone: Timing) -> Figure:
    """What something takes beside checking as many P-384 signatures."""
    other = f"OpenSSL alone, {signatures} P-384"
    return Figure(name, found.cpu_s * 1e3, "ms", other, signatures * alone.cpu_s * 1e3, cpu=True)


def _many(work: Work, count: int) -> Task:
    def works() -> None:
        for _ in range(count):
            work()

    return again(works, count)


def _p384(count: int) -> Task:
    """A signature checked by a key that was read before."""
    key, message = generate_private_key(SECP384R1()), bytes(600)
    public, signature = key.public_key(), key.sign(message, ECDSA(SHA384()))
    return _many(lambda: public.verify(signature, message, ECDSA(SHA384())), count)


def _rsa(count: int) -> Task:
    key, message, form = generate_rsa_key(65_537, KEY_BITS), bytes(1_200), PSS(MGF1(SHA384()), SALT_BYTES)
    public, signature = key.public_key(), key.sign(message, form, SHA384())
    return _many(lambda: public.verify(signature, message, form, SHA384()), count)


# --- an enclave of a devnet, by the wall clock --------------------------------------------------------------------


def _contact(devnet: Devnet, client: Client, count: int) -> list[Figure]:
    """A client's first meeting with an enclave: every time a new client, with no connection and no memory."""
    node = devnet.key("enclave-operator").address
    url = client.nodes()[node].endpoint
    # Who checks certificates takes longer; whose they are is not the question here.
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    met, plain = [], []
    for _ in range(WARM + count):
        with Client.open(devnet.network_file, devnet.key("user")) as fresh:
            start = time.perf_counter()
            fresh.meet(node, "simulated")
            met.append(time.perf_counter() - start)
        with httpx.Client(verify=blind, trust_env=False) as http:
            start = time.perf_counter()
            assert http.get(url + "/v1/models").status_code == 200
            plain.append(time.perf_counter() - start)
    return [_median("first contact, median (wanted: 50 ms)", met, "a plain request on a new TLS connection", plain)]


def _answers(client: Client, count: int) -> tuple[list[Figure], int]:
    """Answers of a classifier by each layer, in turn: bought, paid, verified by their bundles."""
    times: dict[str, list[float]] = {name: [] for name in TERMS}
    size = 0
    for index in range(WARM + count):
        rows = [[*patient((index + row) % 569)[0]] for row in range(ROWS)]
        for name, terms in TERMS.items():
            start = time.perf_counter()
            answer = client.infer(MODEL, {"measurements": rows}, **terms)
            times[name].append(time.perf_counter() - start)
            size = len(canonical(answer.verified.thing.body))
    signature, tee, sealed = (times[name] for name in TERMS)
    added, sealing = (
        Figure(name, statistics.median(map(operator.sub, more[WARM:], less[WARM:])) * 1e3, "ms")
        for name, more, less in (
            ("added by the layer tee, keys warm, median (wanted: 1 ms)", tee, signature),
            ("added by sealing question and answer, median (wanted: 2 ms for 4 kB)", sealed, tee),
        )
    )
    by_tee = _median(
        "an answer by the layer tee, keys warm, median", tee, "by the layer signature, without TLS", signature
    )
    return [by_tee, added, _median("the same, sealed, median", sealed, "by the layer tee", tee), sealing], size


def _median(name: str, mine_s: list[float], other: str, theirs_s: list[float]) -> Figure:
    return Figure(name, statistics.median(mine_s[WARM:]) * 1e3, "ms", other, statistics.median(theirs_s[WARM:]) * 1e3)
