"""`paraph receipt`: saved answers, shown, settled and computed again."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paraph.cli.places import FILE, devnet_home, json_option, needs, network_option, open_network, read_file
from paraph.cli.terminal import emit, marked, note, paint, printable, say, shown, waiting
from paraph.cli.trust import min_trust_option
from paraph.core.amount import format_opg
from paraph.core.errors import Rejected
from paraph.core.ident import to_hex
from paraph.core.keys import checksummed
from paraph.core.limits import JSON_BYTES_MAX
from paraph.proofs.attested import worth
from paraph.proofs.bundle import Bundle, decode_bundle
from paraph.proofs.profile import EngineProfile

if TYPE_CHECKING:
    from paraph.flows.replay import Comparison

PATIENCE_S = 60
TEXT_SHOWN = 400


@click.group()
def receipt() -> None:
    """Saved answers: what their receipts say, their settlement, and computing them again."""


@receipt.command()
@click.argument("file", type=FILE)
@json_option
def show(file: Path, as_json: bool) -> None:
    """What the receipt in FILE says. It is not checked here: `paraph verify` does that."""
    bundle = _read(file)
    found = bundle.answer.receipt.receipt
    if as_json:
        emit({"checked": False, "receipt": bundle.answer.receipt.as_json(), "profile": bundle.answer.profile.as_json()})
        return
    profile = bundle.answer.profile
    settled, trust = bundle.chain.settled, worth(bundle.chain)
    rows = {
        "request": to_hex(found.request_key),
        "model": to_hex(found.model_id),
        "node": checksummed(found.node),
        "signed by": checksummed(found.signer),
        "payer": checksummed(found.payer),
        "layer": found.layer.word if trust is None else f"{found.layer.word}, by an enclave: {trust.word}",
        "price": f"{format_opg(found.price)} OPG, for {found.input_units} units in and {found.output_units} out",
        "time": f"{_moment(found.started_ms)}, took {found.ended_ms - found.started_ms} ms, at block {found.height}",
        "engine": f"{_engine(profile)}, bit-exact: {profile.bit_exact}",
        "settled": "not in this file" if settled is None else f"batch {settled.batch}, receipt {settled.index + 1}",
    }
    for name, value in rows.items():
        say(f"{name:10} {printable(value)}")
    text = bundle.answer.response.get("text")
    if isinstance(text, str):
        say(f"{'text':10} {shown(text[:TEXT_SHOWN])}{'…' if len(text) > TEXT_SHOWN else ''}")
    note(f"not checked here: `paraph verify {file}` checks it")


@receipt.command()
@click.argument("file", type=FILE)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write here; by default FILE itself.")
@click.option("--patience", type=click.IntRange(0), default=PATIENCE_S, show_default=True, help="Seconds to wait.")
@min_trust_option
@network_option
@json_option
def settle(
    file: Path, out: Path | None, patience: int, min_trust: str, network_file: Path | None, as_json: bool
) -> None:
    """Add the proof of its settlement to FILE, once it is settled. What is written is verified first."""
    from paraph.cli.reading import ask
    from paraph.flows.buy import await_settled
    from paraph.proofs.check import verify
    from paraph.proofs.quotes.claims import trust_class
    from paraph.sdk.answer import Answer

    network = open_network(network_file)
    bundle = _read(file)
    least = trust_class(min_trust)
    verify(bundle, network.trust, least)
    with waiting("waiting for the settlement"):
        answer = Answer(ask(network, await_settled(network.trust, bundle, patience * 1000, least)))
    target = out or file
    answer.save(target)
    settled = answer.bundle.chain.settled
    batch = None if settled is None else settled.batch
    if as_json:
        emit({"file": str(target), "settled": answer.settled, "batch": batch})
    else:
        say(marked(f"✓ settled in batch {batch}; {printable(str(target))} proves it"))


@receipt.command()
@click.argument("file", type=FILE)
@click.option(
    "--model",
    "model",
    type=click.Path(exists=True, path_type=Path),
    help="The model's file or folder; by default what the devnet's node keeps.",
)
@json_option
def replay(file: Path, model: Path | None, as_json: bool) -> int:
    """Compute a saved answer again, and say bit-equal or where it first differs.

    Needs the model's own files: their id must be the one in the receipt. Exit code 0: bit-equal. 1: it differs.
    """
    with needs("node"):
        from paraph.inference_node.replay import kept_model
        from paraph.inference_node.replay import replay as run_again
    bundle = _read(file)
    model_id = bundle.answer.receipt.receipt.model_id
    place = model or kept_model(devnet_home() / "inference-node", model_id)
    if place is None:
        raise Rejected("replay.no_model", f"the files of model {to_hex(model_id)} are not here: name them with --model")
    with waiting("computing again"):
        found = asyncio.run(run_again(bundle, place))
    if as_json:
        emit({"file": str(file), "model": str(place), **found.as_json()})
    else:
        _tell(found, bundle)
    return 0 if found.equal else 1


def _tell(found: "Comparison", bundle: Bundle) -> None:
    for name in found.unsigned:
        say(marked(f"✗ the {name} in the file is not what its receipt signs"))
    if found.profile:
        say(marked("– the engine here is another: bits may differ in good faith"))
        for each in found.profile:
            say(printable(f"    {each.sentence}"))
    else:
        profile = bundle.answer.profile
        say(marked(f"✓ the same engine profile: {printable(_engine(profile))}, {profile.threads} threads"))
    if found.first is not None:
        say(marked("✗ ") + paint("differs", "red", bold=True) + printable(f": {found.first.sentence}"))
    elif found.unsigned:
        say(marked("– what the file shows came out again, but it is not what was signed"))
    else:
        more = "" if found.whole else " (as far as it went: the answer was cancelled)"
        say(marked("✓ ") + paint("bit-equal", "green", bold=True) + more)


def _engine(profile: EngineProfile) -> str:
    # What is exact runs alike on every processor, and names none.
    return ", ".join(filter(None, (f"{profile.engine} {profile.engine_version}", profile.isa)))


def _read(file: Path) -> Bundle:
    return decode_bundle(read_file(file, JSON_BYTES_MAX, "the answer"))


def _moment(time_ms: int) -> Any:
    from datetime import UTC, datetime

    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError):
        # The file is not checked, and may say any time.
        return f"{time_ms} ms"
