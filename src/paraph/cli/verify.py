"""`paraph verify`: a saved answer and a trust file in, a verdict out. It opens no socket."""

import os
from pathlib import Path

import click

from paraph.cli.places import FILE, devnet_home, home, json_option, read_file
from paraph.cli.terminal import emit, marked, paint, printable, say
from paraph.core.errors import Unavailable
from paraph.core.limits import JSON_BYTES_MAX
from paraph.proofs.bundle import decode_bundle
from paraph.proofs.check import judge
from paraph.proofs.policy import Trust, decode_trust
from paraph.proofs.verdict import render

TRUST_BYTES_MAX = 64 * 1024


@click.command()
@click.argument("file", type=FILE)
@click.option("--trust", type=FILE, help="Trust file; by default the configured network's, then the devnet's.")
@json_option
def verify(file: Path, trust: Path | None, as_json: bool) -> int:
    """Check a saved answer, with no network.

    Answers the four questions, says why when it does not verify, and what it did not check.

    Exit code 0: verified. 1: not verified. 2: not a saved answer, or misused.
    """
    try:
        pinned = find_trust(trust)
        bundle = decode_bundle(read_file(file, JSON_BYTES_MAX, "the answer"))
    except Unavailable as error:
        # 1 would say that it was looked at and does not verify.
        raise click.UsageError(str(error)) from error
    verdict = judge(bundle, pinned)
    if as_json:
        emit({"file": str(file), "network": pinned.network, **verdict.as_json()})
        return 0 if verdict.verified else 1
    result, *lines = render(verdict)
    say(printable(f"{file}: ") + paint(result, "green" if verdict.verified else "red", bold=True))
    for line in lines:
        say(marked(printable(line)))
    return 0 if verdict.verified else 1


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
