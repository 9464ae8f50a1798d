"""`paraph model`: publishing a model, and looking at those that are registered."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paraph.cli.exact import quantize, recheck
from paraph.cli.layers import bits_of, layers_option, words_of
from paraph.cli.places import json_option, key_options, needs, network_option, open_client, open_network
from paraph.cli.terminal import emit, marked, note, printable, say, table, waiting
from paraph.core.amount import format_opg, parse_opg
from paraph.core.errors import Rejected
from paraph.core.ident import to_hex
from paraph.core.keys import checksummed
from paraph.proofs.manifest import GRAPH, KINDS, Manifest
from paraph.proofs.zk.statement import VERSION, exact_id

if TYPE_CHECKING:
    from paraph.adapters.provers.model import ExactModel
    from paraph.core.ident import Digest, ModelId
    from paraph.flows.registry import Offer
    from paraph.sdk.client import Client


@click.group()
def model() -> None:
    """Publish models and look at those that are registered."""


model.add_command(quantize)
model.add_command(recheck)


@model.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--name", required=True, help="How people call it; `owner/name` by habit.")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    required=True,
    help="text: a language model. tensor: an ONNX model, or an exact one.",
)
@click.option("--royalty", type=click.IntRange(0, 10_000), default=0, show_default=True, help="Your part, in 1/100 %.")
@click.option("--base", default="0", show_default=True, metavar="OPG", help="Price of one answer.")
@click.option("--per-input", default="0", show_default=True, metavar="OPG", help="And of each token or row in.")
@click.option("--per-output", default="0", show_default=True, metavar="OPG", help="And of each token or row out.")
@click.option(
    "--node-home",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Also give the files to the inference node of this folder, to serve after its next start.",
)
@click.option("--dry-run", is_flag=True, help="Inspect and compute the id; register nothing.")
@network_option
@key_options
@layers_option("signature", "tee")
@json_option
def push(
    path: Path,
    name: str,
    kind: str,
    royalty: int,
    base: str,
    per_input: str,
    per_output: str,
    node_home: Path | None,
    dry_run: bool,
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    layers: tuple[str, ...],
    as_json: bool,
) -> None:
    """Register the model in PATH, a file or a folder: its id, its price, and your royalty.

    Every file is inspected first. The id is the hash of the files: the same files are the same model everywhere.
    A folder made by `paraph model quantize` is an exact model: its graph and the commitment to its weights are
    registered too, once for all, so that answers can be proven (`--layer zkml`).
    """
    with needs("node"):
        from paraph.adapters.blobs.folder import FolderBlobs
        from paraph.adapters.engines.open import find_model
        from paraph.inference_node.models import describe, keep
    prices = parse_opg(base), parse_opg(per_input), parse_opg(per_output)
    exact: ExactModel | None = None
    with waiting("inspecting"):
        if kind == "tensor" and (path / GRAPH).is_file():
            exact, batch_class = _exact(path), "invariant"
        else:
            file = find_model(path, "gguf" if kind == "text" else "onnx")
            batch_class = "single" if kind == "text" else asyncio.run(_probed(file))
        manifest, places = describe(path, name, kind, batch_class)
    if "zkml" in layers and exact is None:
        raise Rejected(
            "model.not_exact", "answers of exact models only can be proven: `paraph model quantize` makes one"
        )
    root = None if exact is None else _committed(exact)
    model_id = manifest.model_id()
    facts = {"model_id": to_hex(model_id), "manifest": manifest.as_json(), "manifest_digest": to_hex(manifest.digest())}
    if exact is not None and root is not None:
        facts |= {"exact_id": to_hex(exact_id(exact.graph.digest, root)), "weight_root": to_hex(root)}
    if not as_json:
        say(f"{printable(name)}: {len(manifest.files)} files, model id {to_hex(model_id)}, batch class {batch_class}")
    if node_home is not None and not dry_run:
        with waiting("copying the files"):
            keep(FolderBlobs(node_home / "blobs"), manifest, places)
            _keep_manifest(node_home, manifest)
    if dry_run:
        if as_json:
            emit({**facts, "registered": False, "transaction": None})
        return
    from paraph.cli.wallet import sent_json
    from paraph.ledger.rooms.models.calls import CONTRACT as MODELS

    arguments = (model_id, manifest.digest(), name, kind, royalty, bits_of(layers), *prices)
    with open_client(network_file, wallet_file, password_file, devnet_key) as client, waiting("registering"):
        known = client.models().get(model_id)
        if known is not None and known.owner != client.account:
            raise Rejected("model.taken", f"{checksummed(known.owner)} has registered this model already")
        sent = None if known else client.transact(MODELS, "register", *arguments)
        if exact is not None and root is not None and not _is_exact(client, model_id):
            sent = client.transact(MODELS, "registerExact", model_id, exact.graph.bytes, root, VERSION)
    if as_json:
        emit({**facts, "registered": True, "transaction": None if sent is None else sent_json(sent)})
    elif sent is None:
        say(marked("✓ you have registered it before; its price stays as it is"))
    else:
        say(marked(f"✓ registered in block {sent.height}, royalty {royalty / 100:g} %"))
    if node_home is not None:
        note("· start the node again, and name the model with `paraph node update`, to serve it")


@model.command("list")
@network_option
@json_option
def list_(network_file: Path | None, as_json: bool) -> None:
    """The registered models, and how many nodes serve each."""
    from paraph.cli.reading import ask
    from paraph.flows import registry

    network = open_network(network_file)
    found = ask(network, registry.models(network.trust))
    served = [each for node in ask(network, registry.nodes(network.trust)).values() for each in node.models]
    if as_json:
        emit(
            [
                {
                    "model_id": to_hex(model_id),
                    "name": each.name,
                    "kind": each.kind,
                    "owner": to_hex(each.owner),
                    "royalty_bps": each.royalty_bps,
                    "nodes": served.count(model_id),
                }
                for model_id, each in found.items()
            ]
        )
        return
    rows = [
        (each.name, each.kind, to_hex(model_id), checksummed(each.owner), str(served.count(model_id)))
        for model_id, each in found.items()
    ]
    for line in table(rows, ("name", "kind", "model id", "owner", "nodes")):
        say(line)


@model.command()
@click.argument("name")
@network_option
@json_option
def show(name: str, network_file: Path | None, as_json: bool) -> None:
    """The model NAME (or its id): owner, price in force, royalty, layers."""
    from paraph.cli.reading import ask
    from paraph.flows import registry
    from paraph.flows.effect import Flow

    network = open_network(network_file)

    def found() -> "Flow[Offer]":
        model_id = yield from registry.find_model(network.trust, name)
        return (yield from registry.offer(network.trust, model_id))

    facts = _offer(ask(network, found()))
    if as_json:
        emit(facts)
        return
    price = facts["price"]
    rows = {
        "name": facts["name"],
        "id": facts["model_id"],
        "kind": facts["kind"],
        "owner": facts["owner"],
        "royalty": f"{facts['royalty_bps'] / 100:g} %",
        "layers": ", ".join(facts["layers"]),
        "price": f"{price['base_opg']} OPG, and {price['per_input_unit_opg']} a unit in,"
        f" {price['per_output_unit_opg']} a unit out (schedule {price['version']})",
        "registered": f"in block {facts['height']}",
    }
    for title, value in rows.items():
        say(f"{title:10} {printable(str(value))}")


def _offer(offer: "Offer") -> dict[str, Any]:
    found, price = offer.model, offer.price
    amounts = {
        "base": price.base,
        "per_input_unit": price.per_input_unit,
        "per_output_unit": price.per_output_unit,
    }
    return {
        "model_id": to_hex(offer.model_id),
        "name": found.name,
        "kind": found.kind,
        "owner": checksummed(found.owner),
        "manifest_digest": to_hex(found.manifest_digest),
        "royalty_bps": found.royalty_bps,
        "layers": words_of(found.layers),
        "price": {
            "version": found.price_version,
            **{f"{name}_wei": str(wei) for name, wei in amounts.items()},
            **{f"{name}_opg": format_opg(wei) for name, wei in amounts.items()},
        },
        "height": found.height,
    }


async def _probed(file: Path) -> str:
    """Whether rows of a batch get the bits they get alone; opening the engine also shows that the model loads."""
    from paraph.adapters.engines.onnx import open_onnx, probe

    engine = await open_onnx(file)
    try:
        return await probe(engine)
    finally:
        await engine.close()


def _exact(path: Path) -> "ExactModel":
    """The exact model of a folder, which holds nothing else: every file is part of the model's id."""
    from paraph.adapters.provers.model import FILES, load

    found = sorted(each.relative_to(path).as_posix() for each in path.rglob("*") if not each.is_dir())
    if found != sorted(FILES):
        raise Rejected("model.files", f"an exact model is {', '.join(FILES)} and nothing else; here are {found}"[:500])
    return load(path)


def _committed(exact: "ExactModel") -> "Digest":
    """The commitment to the model's weights."""
    with needs("zk"):
        from paraph.adapters.provers.prove import commit_weights
    with waiting("committing to the weights"):
        return commit_weights(exact.graph, exact.weights).root


def _is_exact(client: "Client", model_id: "ModelId") -> bool:
    from paraph.cli.reading import ask
    from paraph.flows.exact import registered

    try:
        ask(client.network, registered(client.network.trust, model_id))
    except Rejected as error:
        if error.code != "models.not_exact":
            raise
        return False
    return True


def _keep_manifest(node_home: Path, manifest: Manifest) -> None:
    from paraph.core.encode import canonical
    from paraph.inference_node.config import MANIFESTS

    folder = node_home / MANIFESTS
    folder.mkdir(exist_ok=True)
    # Named by the id: names of models are not unique, and may hold a slash.
    place = folder / f"{to_hex(manifest.model_id())[2:]}.json"
    temporary = place.with_suffix(".part")
    temporary.write_bytes(canonical(manifest.as_json()))
    temporary.replace(place)
