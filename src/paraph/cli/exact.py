"""`paraph model quantize` and `recheck`: exact models, which answer alike everywhere and so can be proven."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paraph.cli.places import FILE, json_option, needs
from paraph.cli.terminal import emit, marked, note, printable, say, waiting

if TYPE_CHECKING:
    from paraph.adapters.provers.certificate import Certificate
    from paraph.adapters.provers.model import ExactModel

HELD_OUT = 5
"""Without a file of its own, every fifth part of the data, the last, is kept for the comparison."""


@click.command()
@click.argument("onnx_file", metavar="MODEL.onnx", type=FILE)
@click.option("--calibrate", "data_file", type=FILE, required=True, help="Typical inputs: a .npy or .csv file.")
@click.option("--holdout", "holdout_file", type=FILE, help="Inputs to compare on; by default the last fifth.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write.")
@json_option
def quantize(onnx_file: Path, data_file: Path, holdout_file: Path | None, out: Path, as_json: bool) -> None:
    """Make MODEL.onnx exact: integers only, the same bits everywhere, so that runs of it can be proven.

    Writes graph.json, weights.bin and card.json into a folder; the card says how numbers become integers, and how well
    the exact model agrees with the original on inputs it was not made with.
    """
    with needs("node"):
        from paraph.adapters.provers.model import certified, make, save
        from paraph.adapters.provers.rows import read_rows
    onnx = onnx_file.read_bytes()
    data = read_rows(data_file)
    first = len(data) if holdout_file is not None else len(data) - len(data) // HELD_OUT
    with waiting("choosing units"):
        model = make(onnx, data[:first])
    with waiting("comparing with the original"):
        if holdout_file is not None:
            model = certified(model, onnx, read_rows(holdout_file), 0)
        else:
            model = certified(model, onnx, data, first)
    save(model, out)
    if as_json:
        emit(_facts(model, out))
        return
    _say_model(model)
    if model.card.certificate is not None:
        _say_certificate(model.card.certificate, model.card.decision)
    say(marked(f"✓ written to {printable(str(out))}"))


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--onnx", "onnx_file", type=FILE, required=True, help="The original.")
@click.option("--data", "data_file", type=FILE, required=True, help="The data that its certificate is about.")
@json_option
def recheck(folder: Path, onnx_file: Path, data_file: Path, as_json: bool) -> None:
    """Compute the certificate of the exact model in DIR again, and compare: exit code 1 when it does not hold."""
    with needs("node"):
        from paraph.adapters.provers import model as models
        from paraph.adapters.provers.rows import read_rows
    model = models.load(folder)
    data = read_rows(data_file)
    with waiting("comparing with the original"):
        found = models.recheck(model, onnx_file.read_bytes(), data)
    if as_json:
        emit({"holds": True, "certificate": found.as_json()})
        return
    _say_certificate(found, model.card.decision)
    say(marked("✓ the certificate holds"))
    said = model.card.certificate
    if said is not None and dict(said.versions) != dict(found.versions):
        note(f"· it was made with other libraries: {dict(said.versions)}")


def _say_model(model: "ExactModel") -> None:
    card = model.card
    sides = " × ".join(map(str, card.input))
    nodes = len(model.graph.nodes)
    say(f"exact model: {sides} numbers in, {card.outputs} out; {nodes} nodes, {len(model.weights)} bytes of weights")
    if card.cut:
        names = ", ".join(dict.fromkeys(card.cut))
        say(f"its outputs are the scores before {printable(names)}, which are left to the reader")


def _say_certificate(certificate: "Certificate", decision: str) -> None:
    agreed, inputs = certificate.agreed, certificate.inputs
    if decision == "none":
        say(f"compared on {inputs} held-out inputs")
    else:
        say(
            f"on {inputs} held-out inputs it gives the original's answer {agreed} times ({100 * agreed / inputs:.2f} %)"
        )
    say(
        f"its scores err by {certificate.mean_error:.3g} on average and {certificate.max_error:.3g} at most,"
        f" of scores up to {certificate.max_score:.3g}"
    )


def _facts(model: "ExactModel", out: Path) -> dict[str, Any]:
    certificate = model.card.certificate
    return {
        "folder": str(out),
        "graph_digest": "0x" + model.graph.digest.hex(),
        "inputs": list(model.card.input),
        "outputs": model.card.outputs,
        "nodes": len(model.graph.nodes),
        "weights_bytes": len(model.weights),
        "decision": model.card.decision,
        "labels": list(model.card.labels),
        "cut": list(model.card.cut),
        "certificate": None if certificate is None else certificate.as_json(),
    }
