"""Making a devnet: keys, genesis, and a home for each node, all in one folder.

Whole or refused: the shape is written last, and a folder with half a devnet in it is not touched again.
"""

import json
import socket
from contextlib import ExitStack
from typing import Final

from paraph.adapters.enclaves.simulated import CERTIFICATE, make_root
from paraph.adapters.keys.keystore import SCRYPT_N_LIGHT, new_key, save_key, write_private
from paraph.adapters.system import SystemClock, random_bytes
from paraph.core.amount import SUPPLY_WEI, WEI_PER_OPG, Wei, share
from paraph.core.encode import canonical
from paraph.core.errors import Rejected
from paraph.core.ident import Address
from paraph.devnet.enclave import package_release
from paraph.devnet.folder import INFERENCE_NODES, Folder
from paraph.devnet.shape import Shape
from paraph.full_node.__main__ import KEY as PRODUCER_KEY
from paraph.full_node.__main__ import PASSWORD as PRODUCER_PASSWORD
from paraph.full_node.config import Config, Consensus, Rpc
from paraph.full_node.limits import Limits
from paraph.full_node.setup import make_home, make_keys
from paraph.inference_node import config as node_config
from paraph.ledger.genesis import Allocation, Genesis
from paraph.ledger.rooms.bonds.types import GenesisValidator
from paraph.sdk.network import WITNESSES_MAX, Network

CHAIN_ID: Final = 10_740_001
NAME: Final = "paraph-devnet"

ALLOCATION_BPS: Final = {
    "ecosystem": 4_000,
    "foundation": 1_500,
    "core-contributors": 1_500,
    "investors": 1_000,
    "staking-rewards": 1_000,
    "liquidity": 600,
    "airdrop": 400,
}
"""The token's allocation. On a devnet all of it is held by test keys, unvested; `ecosystem` is the faucet."""
PEOPLE: Final = ("producer", "operator", "hot", "enclave-operator", "enclave-hot", "developer", "user")
VALIDATOR_BOND: Final = Wei(1_000_000 * WEI_PER_OPG)
VALIDATOR_BALANCE: Final = Wei(1_000 * WEI_PER_OPG)
"""To pay for transactions with. Bonds and balances are the foundation's: at most 41 of its 150 million OPG."""
ONE_MACHINE: Final = Limits(cost_per_s=100_000, cost_burst=500_000, requests_per_client_max=256)
"""All clients of a devnet share one address: the limits of one stranger would be those of everybody."""


def make(folder: Folder, shape: Shape) -> None:
    """Make a devnet of that shape.

    Raises:
        Rejected: `devnet.half_made`: keys are there, but no whole devnet. Unavailable: a file cannot be written.
    """
    if (folder.home / "keys").exists():
        said = f"{folder.home} holds keys but no whole devnet: its making was interrupted, or another version made it"
        raise Rejected("devnet.half_made", f"{said}; delete it, or choose another folder")
    for name in ("keys", "logs", "run", *(f"{node}/{node_config.MANIFESTS}" for node in INFERENCE_NODES)):
        (folder.home / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(folder.password_file, random_bytes(16).hex().encode())
    for name in (*PEOPLE, *ALLOCATION_BPS, *shape.operators):
        save_key(folder.key_file(name), new_key(), folder.password(), scrypt_n=SCRYPT_N_LIGHT)
    for hot, node in zip(("hot", "enclave-hot"), INFERENCE_NODES, strict=True):
        _copy_key(folder, hot, node, node_config.KEY, node_config.PASSWORD)
    make_root(folder.simulated_root, SystemClock())
    ports = iter(_free_ports(2 * len(shape.full_nodes) + len(INFERENCE_NODES)))
    for name in (*shape.full_nodes, *INFERENCE_NODES):
        folder.port_file(name).write_text(str(next(ports)))

    genesis = _agreeing(folder, shape, list(ports)) if shape.validators else _solo(folder, shape)

    trust = genesis.trust()
    url, *others = (folder.url(name) for name in shape.full_nodes)
    network = Network(url, trust, tuple(others[:WITNESSES_MAX]))
    folder.trust_file.write_bytes(trust.encode() + b"\n")
    folder.network_file.write_text(json.dumps(network.as_json(), indent=1) + "\n")
    folder.shape_file.write_bytes(canonical(shape.as_json()))


def _solo(folder: Folder, shape: Shape) -> Genesis:
    """The home of the one full node, whose key makes the blocks."""
    (name,) = shape.full_nodes
    genesis = _genesis(folder, (folder.key("producer").address,), ())
    _copy_key(folder, "producer", name, PRODUCER_KEY, PRODUCER_PASSWORD)
    rpc = Rpc(f"127.0.0.1:{folder.port(name)}", produce=True)
    make_home(folder.node_home(name), genesis, Config(rpc, ONE_MACHINE))
    return genesis


def _agreeing(folder: Folder, shape: Shape, ports: list[int]) -> Genesis:
    """The homes of all full nodes, each of which knows where the validators are."""
    nodes = {name: make_keys(folder.node_home(name)) for name in shape.full_nodes}
    places = {name: f"127.0.0.1:{port}" for name, port in zip(nodes, ports, strict=True)}
    validators = tuple(
        GenesisValidator(folder.key(operator).address, nodes[name].validator_key, VALIDATOR_BOND, name)
        for operator, name in zip(shape.operators, shape.voters, strict=True)
    )
    genesis = _genesis(folder, (), validators)
    for name in nodes:
        consensus = Consensus(
            block_pause_ms=shape.block_pause_ms,
            moniker=name,
            listen=places[name],
            peers=tuple(f"{nodes[peer].node_id}@{places[peer]}" for peer in shape.voters if peer != name),
            private_network=True,
            form_workers=0,  # many nodes share few cores here
        )
        config = Config(Rpc(f"127.0.0.1:{folder.port(name)}"), ONE_MACHINE, consensus=consensus)
        make_home(folder.node_home(name), genesis, config)
    return genesis


def _genesis(folder: Folder, producers: tuple[Address, ...], validators: tuple[GenesisValidator, ...]) -> Genesis:
    spent = len(validators) * (VALIDATOR_BOND + VALIDATOR_BALANCE)
    shares = {name: share(SUPPLY_WEI, bps) for name, bps in ALLOCATION_BPS.items()}
    shares["foundation"] = Wei(shares["foundation"] - spent)
    return Genesis(
        NAME,
        CHAIN_ID,
        SystemClock().now_ms() // 1000,
        producers,
        folder.key("foundation").address,
        True,
        (
            *(Allocation(folder.key(name).address, amount, name) for name, amount in shares.items()),
            *(Allocation(each.operator, VALIDATOR_BALANCE, each.moniker) for each in validators),
        ),
        validators=validators,
        releases=(package_release(),),
        simulated_root=(folder.simulated_root / CERTIFICATE).read_bytes(),
    )


def _copy_key(folder: Folder, name: str, node: str, key_name: str, password_name: str) -> None:
    home = folder.node_home(node)
    save_key(home / key_name, folder.key(name), folder.password(), scrypt_n=SCRYPT_N_LIGHT)
    write_private(home / password_name, folder.password().encode())


def _free_ports(count: int) -> list[int]:
    # All are held at once, so that no two are the same.
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
