"""`paraph verify`: a saved answer, or a meeting with an enclave, and a trust file in; a verdict out. No socket."""

import os
import time
from pathlib import Path

import click

from paraph import __version__
from paraph.cli.places import FILE, devnet_home, home, json_option, read_file
from paraph.cli.terminal import emit, marked, paint, printable, say
from paraph.cli.trust import min_trust_option
from paraph.core.encode import as_object, decode
from paraph.core.errors import Unavailable
from paraph.core.limits import JSON_BYTES_MAX
from paraph.proofs.attested import worth, worth_of
from paraph.proofs.bundle import decode_bundle
from paraph.proofs.check import judge
from paraph.proofs.ear import ear
from paraph.proofs.meeting import FORMAT as MEETING
from paraph.proofs.meeting import decode_meeting, judge_meeting
from paraph.proofs.policy import Trust, decode_trust
from paraph.proofs.quotes.claims import TrustClass, trust_class
from paraph.proofs.verdict import Verdict, render

TRUST_BYTES_MAX = 64 * 1024


@click.command()
@click.argument("file", type=FILE)
@click.option("--trust", type=FILE, help="Trust file; by default the configured network's, then the devnet's.")
@min_trust_option
@click.option("--ear", "as_ear", is_flag=True, help="Print the verdict as an EAT Attestation Result, in JSON.")
@json_option
def verify(file: Path, trust: Path | None, min_trust: str, as_ear: bool, as_json: bool) -> int:
    """Check a saved answer, or a saved meeting with an enclave, with no network.

    Answers the four questions, says why when it does not verify, and what it did not check.

    Exit code 0: verified. 1: not verified. 2: no saved answer or meeting, or misused.
    """
    try:
        pinned = find_trust(trust)
        data = read_file(file, JSON_BYTES_MAX, "the answer")
    except Unavailable as error:
        # 1 would say that it was looked at and does not verify.
        raise click.UsageError(str(error)) from error
    verdict, worth = _judged(data, pinned, trust_class(min_trust))
    if as_ear:
        emit(ear(verdict, worth, f"paraph {__version__}", int(time.time())))
        return 0 if verdict.verified else 1
    if as_json:
        emit({"file": str(file), "network": pinned.network, **verdict.as_json()})
        return 0 if verdict.verified else 1
    result, *lines = render(verdict)
    say(printable(f"{file}: ") + paint(result, "green" if verdict.verified else "red", bold=True))
    for line in lines:
        say(marked(printable(line)))
    return 0 if verdict.verified else 1


def _judged(data: bytes, pinned: Trust, least: TrustClass) -> tuple[Verdict, TrustClass | None]:
    """The verdict, and the trust class that the ledger's record of the enclave names, where there is one."""
    if as_object(decode(data), "the file").get("format") == MEETING:
        meeting = decode_meeting(data)
        return judge_meeting(meeting, pinned, least), worth_of(meeting.enclave.value)
    bundle = decode_bundle(data)
    return judge(bundle, pinned, least), worth(bundle.chain)


def find_trust(given: Path | None) -> Trust:
    """What is pinned: a trust file, or that inside a network file.

    Raises:
        click.UsageError: there is none. Malformed: it is none. Unavailable: it cannot be read.
    """
    if given is not None:
        return decode_trust(read_file(given, TRUST_BYTES_MAX, "the trust file"))
    named = os.environ.get("PARAPH_NETWORK")
    kept = [place for place in (home() / "network.json", devnet_home() / "network.json") if place.exists()]
    for place in [Path(named)] if named else kept:
        from paraph.sdk.network import load_network

        return load_network(place).trust
    raise click.UsageError("nothing is pinned to verify against: --trust names a trust file")
