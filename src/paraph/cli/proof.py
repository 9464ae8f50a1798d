"""`paraph proof`: promised proofs of saved answers, looked after, fetched, and the price back where none came."""

from pathlib import Path

import click

from paraph.cli.places import (
    FILE,
    json_option,
    key_options,
    network_option,
    open_client,
    open_network,
    read_file,
)
from paraph.cli.provable import PATIENCE_S, wait_sentence
from paraph.cli.terminal import emit, marked, printable, say, waiting
from paraph.core.amount import format_opg
from paraph.core.limits import JSON_BYTES_MAX
from paraph.proofs.bundle import Bundle, decode_bundle


@click.group()
def proof() -> None:
    """Promised proofs of saved answers (layer zkml): how far they are, fetching them, and the price back."""


@proof.command()
@click.argument("file", type=FILE)
@network_option
@json_option
def status(file: Path, network_file: Path | None, as_json: bool) -> None:
    """How far the proof of the answer in FILE is: what the ledger holds of it, proved, and what the node says."""
    from paraph.cli.reading import ask
    from paraph.flows.prove import Stage, progress

    network = open_network(network_file)
    found = ask(network, progress(network.trust, _read(file)))
    if as_json:
        emit({"file": str(file), **found.as_json()})
        return
    mark = {Stage.PROVEN: "✓", Stage.MISSED: "✗", Stage.OVERDUE: "✗"}.get(found.stage, "–")
    left = f", {found.due - found.height} blocks from now" if found.height < found.due else ""
    say(marked(f"{mark} {found.stage.value}; due by block {found.due}{left}"))
    if found.node is not None:
        said = ", ".join(str(value) if name == "state" else f"{name} {value}" for name, value in found.node.items())
        say(printable(f"  the node says: {said}"))
    more = {
        Stage.PROVEN: f"`paraph proof fetch {file}` adds the proof to it",
        Stage.OVERDUE: f"`paraph proof refund {file}` takes the price back",
    }.get(found.stage)
    if more:
        say(printable(f"  {more}"))


@proof.command()
@click.argument("file", type=FILE)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write here; by default FILE itself.")
@click.option("--patience", type=click.IntRange(0), default=PATIENCE_S, show_default=True, help="Seconds to wait.")
@network_option
@json_option
def fetch(file: Path, out: Path | None, patience: int, network_file: Path | None, as_json: bool) -> None:
    """Add its proof to FILE, waiting for it. What is written is verified first."""
    from paraph.cli.reading import ask
    from paraph.flows.prove import await_proven
    from paraph.sdk.answer import Answer

    network = open_network(network_file)
    bundle = _read(file)
    with waiting("waiting for the proof") as change:
        flow = await_proven(network.trust, bundle, patience * 1000)
        answer = Answer(ask(network, flow, lambda progress: change(wait_sentence(progress))))
    target = out or file
    answer.save(target)
    if as_json:
        emit({"file": str(target), "proven": answer.proven, "settled": answer.settled})
    else:
        say(marked(f"✓ proven; {printable(str(target))} shows it: `paraph verify` says what"))


@proof.command()
@click.argument("file", type=FILE)
@network_option
@key_options
@json_option
def refund(
    file: Path,
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """Take back the price of the answer in FILE, whose proof did not come in time; its node is slashed.

    Anyone may send this; the price goes to the escrow of who paid it.
    """
    bundle = _read(file)
    price = bundle.answer.receipt.receipt.price
    with open_client(network_file, wallet_file, password_file, devnet_key) as client:
        sent = client.refund(bundle)
    if as_json:
        emit({"file": str(file), "refunded_wei": str(price), "height": sent.height})
    else:
        say(marked(f"✓ {format_opg(price)} OPG are back in the escrow, since block {sent.height}"))


def _read(file: Path) -> Bundle:
    return decode_bundle(read_file(file, JSON_BYTES_MAX, "the answer"))
