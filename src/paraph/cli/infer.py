"""`paraph infer`: named tensors to a model, its tensors back, verified."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import click

from paraph.cli.bought import Terms, facts, finish, options_of, tell, terms_options
from paraph.cli.places import json_option, key_options, needs, network_option, open_client, read_file
from paraph.cli.provable import PATIENCE_S, by_card, meaning, wait_sentence
from paraph.cli.terminal import emit, printable, say, waiting
from paraph.core.encode import decode
from paraph.core.errors import Malformed
from paraph.core.limits import JSON_BYTES_MAX
from paraph.core.tensor import ELEMENT_BYTES
from paraph.proofs.request import Layer

if TYPE_CHECKING:
    from paraph.core.tensor import Tensor
    from paraph.sdk.answer import Answer
    from paraph.sdk.client import Client

VALUES_SHOWN = 12
"""Values of a tensor on one line; `--json` has all."""
DATATYPES = frozenset((*ELEMENT_BYTES, "BYTES"))


@click.command()
@click.argument("model")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME[:TYPE]=VALUE",
    help="An input: VALUE is JSON (nested lists), @FILE.json or @FILE.npy; TYPE as FP32, INT64… where it is not plain.",
)
@click.option("--output", "outputs", multiple=True, metavar="NAME", help="Only this output; by default all.")
@terms_options
@click.option("--wait-proof", is_flag=True, help="Layer zkml: wait for the proof too; what is saved then has it.")
@network_option
@key_options
@json_option
def infer(
    model: str,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    wait_proof: bool,
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
    **terms: Unpack[Terms],
) -> None:
    """Run a tensor model on named inputs; what comes back is verified.

    With --layer zkml an exact model answers at once, and promises a proof. It takes one row: plain numbers become its
    integers by its registered card; NAME:INT8=… are the integers themselves.
    """
    if not inputs:
        raise click.UsageError("give at least one --input NAME=VALUE")
    if wait_proof and terms["layer"] != Layer.ZK.word:
        raise click.UsageError("--wait-proof goes with --layer zkml: no other layer promises a proof")
    named: dict[str, Any] = {}
    for text in inputs:
        name, value = read_input(text)
        if name in named:
            raise click.UsageError(f"the input {name!r} is given twice")
        named[name] = value
    card = None
    with open_client(network_file, wallet_file, password_file, devnet_key) as client:
        with waiting("asking"):
            given: Mapping[str, Any] = named
            if terms["layer"] == Layer.ZK.word:
                given, card = by_card(client, model, named)
            answer = client.infer(model, given, outputs, **options_of(terms))
        answer = finish(client, answer, terms)
        if wait_proof:
            answer = _proven(client, answer, terms["save"])
        tensors = answer.tensors
    meant = {} if card is None else meaning(card, answer)
    if as_json:
        emit(
            {
                "outputs": {name: {**tensor.as_json(), "values": plain(tensor)} for name, tensor in tensors.items()},
                "model": model,
                **meant,
                **facts(answer, terms["save"]),
            }
        )
        return
    for name, tensor in tensors.items():
        say(printable(f"{name}: {tensor.datatype} {list(tensor.shape)} {_short(plain(tensor))}"))
    if meant:
        said = "" if meant["answer"] is None else f"answer: {meant['answer']}; "
        say(printable(f"{said}scores {_short(meant['scores'])}"))
    tell(answer, terms["save"])


def _proven(client: "Client", answer: "Answer", save: Path | None) -> "Answer":
    with waiting("waiting for the proof") as change:
        answer = client.proof(answer, PATIENCE_S, lambda progress: change(wait_sentence(progress)))
    if save is not None:
        answer.save(save)
    return answer


def read_input(text: str) -> tuple[str, Any]:
    """One `--input`: its name, and a tensor, an array or nested lists.

    Raises:
        click.UsageError: it has no `=`. Malformed: the JSON, the file or a value is not what it should be. Unavailable:
            the file cannot be read, or numpy is not there for a `.npy` file.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"{text[:60]!r}: write --input NAME=VALUE")
    datatype = ""
    front, colon, last = name.rpartition(":")
    if colon and last in DATATYPES:
        # A name may hold a colon itself: only a known type counts.
        name, datatype = front, last
    if value.startswith("@") and value.endswith(".npy"):
        return name, _npy(Path(value[1:]), datatype)
    data = read_file(Path(value[1:]), JSON_BYTES_MAX, "the input") if value.startswith("@") else value.encode()
    found = decode(data)
    return name, _typed(name, datatype, found) if datatype else found


def _typed(name: str, datatype: str, values: Any) -> "Tensor":
    from paraph.adapters.tensors import pack

    shape = []
    inner = values
    while isinstance(inner, list):
        shape.append(len(inner))
        inner = inner[0] if inner else None
    return pack(name, datatype, shape, values)


def _npy(path: Path, datatype: str) -> Any:
    with needs("node"):
        import numpy as np
    try:
        # No pickles: they run code when they are read.
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise Malformed("cli.npy", f"{path} is not a .npy file that can be read: {error}") from error
    if not datatype:
        return array
    if datatype not in _NUMPY:
        raise Malformed("cli.npy", f"{path}: a .npy file cannot be taken as {datatype}")
    return array.astype(_NUMPY[datatype])


_NUMPY: Mapping[str, str] = {
    "BOOL": "bool",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    **{f"{kind}{bits}": f"{kind.lower()}{bits}" for kind in ("INT", "UINT") for bits in (8, 16, 32, 64)},
}


def plain(tensor: "Tensor") -> list[Any]:
    """A tensor's flat values in a form that JSON has: what is not finite as text, bytes as text with escapes."""
    from paraph.adapters.tensors import unpack

    return [_plain(value) for value in unpack(tensor)]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _short(values: list[Any]) -> str:
    listed = ", ".join(
        f"{value:.6g}" if isinstance(value, float) else json.dumps(value) for value in values[:VALUES_SHOWN]
    )
    return f"[{listed}{', …' if len(values) > VALUES_SHOWN else ''}]"
