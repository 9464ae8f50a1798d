"""`paraph full-node`: the ledger's node, made, run, looked at and repaired in its folder."""

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paraph.cli.genesis import found, genesis_of
from paraph.cli.places import FILE, json_option, needs, read_file
from paraph.cli.terminal import emit, marked, printable, say, waiting
from paraph.core.encode import canonical
from paraph.core.ident import to_hex
from paraph.core.keys import address_from_text

if TYPE_CHECKING:
    from paraph.full_node.config import Config
    from paraph.full_node.setup import Founder, Made
    from paraph.full_node.status import NodeState
    from paraph.ledger.genesis import Genesis

FOUNDER, TRUST, NETWORK = "validator.json", "trust.json", "network.json"
NEW_ONLY = ("chain_id", "operator", "bond", "allocations", "remainder", "governor", "parameters", "founder_files")

home_option = click.option(
    "--home", "folder", type=click.Path(file_okay=False, path_type=Path), required=True, help="The node's folder."
)
settings_option = click.option(
    "--set", "settings", multiple=True, metavar="SECTION.NAME=VALUE", help="A setting, as node.toml has it; repeat it."
)


@click.group()
def full_node() -> None:
    """The ledger's node: blocks, state with proofs, and Ethereum's JSON-RPC."""


# --- making ------------------------------------------------------------------------------------------------------


@full_node.command()
@home_option
@click.option("--genesis", "source", metavar="FILE|URL", help="Join the network of this genesis.")
@click.option("--digest", metavar="0xHEX", help="Join only if this is the genesis' digest; needed with a URL.")
@click.option("--peer", "peers", multiple=True, metavar="ID@HOST:PORT", help="A node to stay connected to; repeat it.")
@click.option("--moniker", metavar="NAME", help="A name that others see.")
@settings_option
@click.option("--keys-only", is_flag=True, help=f"Make the keys and {FOUNDER}, to found with others.")
@click.option("--new", "network", metavar="NAME", help="Found a network of this name.")
@click.option("--chain-id", type=click.IntRange(1, 2**32), help="Founding: the chain id that wallets sign for.")
@click.option("--operator", metavar="ADDRESS", help="Founding: the account that this node's bond belongs to.")
@click.option("--validator", "founder_files", multiple=True, type=FILE, help="Founding: that of another; repeat it.")
@click.option("--bond", metavar="OPG", help="Founding: what each validator bonds.")
@click.option("--allocate", "allocations", multiple=True, metavar="ADDRESS=OPG", help="Founding: a first balance.")
@click.option("--remainder", metavar="ADDRESS", help="Founding: who gets the rest of the supply; else the operator.")
@click.option("--governor", metavar="ADDRESS", help="Founding: who may change parameters and upgrade; else nobody.")
@click.option("--parameter", "parameters", multiple=True, metavar="NAME=NUMBER", help="Founding: not its default.")
@click.option("--devnet", is_flag=True, help="Founding: say in the genesis that nothing here has value.")
@json_option
def init(
    folder: Path,
    source: str | None,
    digest: str | None,
    peers: tuple[str, ...],
    moniker: str | None,
    settings: tuple[str, ...],
    keys_only: bool,
    network: str | None,
    as_json: bool,
    **founding: Any,
) -> None:
    """Make a node's folder: its keys, its genesis, its settings, and the files that pin the network.

    Three ways: --genesis joins a network, --new founds one, and --keys-only makes the keys first, where several found
    one together: each sends validator.json to the one who runs --new, and joins with the genesis that comes back.
    """
    with needs("full-node"):
        from paraph.full_node.config import Config, with_settings
        from paraph.full_node.setup import make_home, make_keys, need_unmade
    if (source is not None) + (network is not None) + keys_only != 1:
        raise click.UsageError("say one of --genesis (join), --new (found), --keys-only")
    given = [name for name in NEW_ONLY if founding[name]]
    if network is None and (set(given) - ({"operator"} if keys_only else set()) or founding["devnet"]):
        raise click.UsageError("what is said of a new network needs --new")
    if digest is not None and source is None:
        raise click.UsageError("--digest goes with --genesis")
    need_unmade(folder)
    named = [f"consensus.peers={json.dumps(list(peers))}"] if peers else []
    named += [f"consensus.moniker={json.dumps(moniker)}"] if moniker else []
    config = with_settings(Config(), (*named, *settings))
    _need_port(config)
    if keys_only:
        own = _founder(make_keys(folder), founding["operator"], config)
        _told_founder(folder, own, as_json)
        return
    if network is None:
        genesis, made = genesis_of(str(source), digest), make_keys(folder)
    else:
        made = make_keys(folder)
        genesis = found(network, _founder(made, founding["operator"], config), founding)
    make_home(folder, genesis, config)
    _publish(folder, genesis, config)
    _told_home(folder, made, genesis, config, as_json)


def _need_port(config: "Config") -> None:
    if config.rpc.listen.endswith(":0") or config.consensus.listen.endswith(":0"):
        raise click.UsageError("a node that others find needs fixed ports: rpc.listen and consensus.listen")


def _founder(made: "Made", operator: str | None, config: "Config") -> "Founder":
    from paraph.full_node.setup import Founder

    if operator is None:
        raise click.UsageError("--operator: the account that the bond belongs to")
    return Founder(address_from_text(operator, "--operator"), made.validator_key, config.consensus.moniker or "paraph")


def _publish(folder: Path, genesis: "Genesis", config: "Config") -> None:
    """Write the files for clients; both follow from the genesis, so those of an earlier try may be replaced."""
    from paraph.adapters.keys.keystore import write_private
    from paraph.sdk.network import Network

    trust = genesis.trust()
    network = json.dumps(Network(_url(config), trust).as_json(), indent=1) + "\n"
    for name, data in ((TRUST, trust.encode() + b"\n"), (NETWORK, network.encode())):
        (folder / name).unlink(missing_ok=True)
        write_private(folder / name, data)


def _url(config: "Config") -> str:
    host, _, port = config.rpc.listen.rpartition(":")
    return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104  a comparison


def _peer(node_id: str, config: "Config") -> str:
    host, _, port = config.consensus.listen.rpartition(":")
    told = "HOST" if host == "0.0.0.0" else host  # noqa: S104  a comparison
    return f"{node_id}@{config.consensus.external_address or f'{told}:{port}'}"


def _told_founder(folder: Path, own: "Founder", as_json: bool) -> None:
    from paraph.adapters.keys.keystore import write_private

    place = folder / FOUNDER
    place.unlink(missing_ok=True)
    write_private(place, canonical(own.as_json()) + b"\n")
    if as_json:
        emit({"home": str(folder), "file": str(place), **own.as_json()})
        return
    say(marked(f"✓ {place}: send it to whoever writes the genesis"))
    say(f"  validator key  {to_hex(own.key)}")


def _told_home(folder: Path, made: "Made", genesis: "Genesis", config: "Config", as_json: bool) -> None:
    facts = {
        "home": str(folder),
        "network": genesis.network,
        "genesis_digest": to_hex(genesis.digest()),
        "node_id": made.node_id,
        "peer": _peer(made.node_id, config),
        "validator_key": to_hex(made.validator_key),
        "trust_file": str(folder / TRUST),
        "network_file": str(folder / NETWORK),
    }
    if as_json:
        emit(facts)
        return
    say(marked(f"✓ {folder}: a full node of {genesis.network}"))
    for name, value in facts.items():
        if name not in ("home", "network"):
            say(f"  {name.replace('_', ' '):14}  {value}")
    say(f"  next: paraph full-node start --home {folder}")


# --- running and looking -----------------------------------------------------------------------------------------


@full_node.command()
@home_option
@settings_option
def start(folder: Path, settings: tuple[str, ...]) -> None:
    """Run the node of a folder, in this process. It stops gracefully at Ctrl-C and SIGTERM.

    --set comes before node.toml, for this run. Texts need quotes, as in TOML: --set 'rpc.listen="127.0.0.1:9545"'.
    """
    with needs("full-node"):
        import paraph.full_node.__main__  # noqa: F401  says now what is missing, not after the exec
    options = [word for each in settings for word in ("--set", each)]
    os.execv(sys.executable, [sys.executable, "-m", "paraph.full_node", "--home", str(folder), *options])  # noqa: S606


@full_node.command()
@home_option
@click.option("--url", help="Where it listens, if not where its settings say.")
@json_option
def status(folder: Path, url: str | None, as_json: bool) -> int:
    """How a running node does, asked on its own machine. Exit code 1 when something is wrong."""
    import asyncio

    with needs("full-node"):
        from paraph.full_node.__main__ import load_genesis
        from paraph.full_node.agreement import ENGINE
        from paraph.full_node.config import load_config
        from paraph.full_node.status import look
    config, genesis = load_config(folder), load_genesis(folder)
    solo = bool(genesis.producers)
    now_s = int(time.time())
    state = asyncio.run(look(url or _url(config), None if solo else folder / ENGINE))
    troubles = state.troubles(now_s, solo=solo)
    if as_json:
        peer = None if state.engine is None else _peer(state.engine.node_id, config)
        told = {"healthy": not troubles, "troubles": list(troubles), "genesis_digest": to_hex(genesis.digest())}
        emit({**told, "peer": peer, **_facts(state)})
        return 1 if troubles else 0
    for line in _lines(state, now_s):
        say(printable(line))
    for each in troubles:
        say(marked(printable(f"✗ {each}")))
    if not troubles:
        say(marked("✓ all is well"))
    return 1 if troubles else 0


def _facts(found: "NodeState") -> dict[str, Any]:
    engine = found.engine
    return {
        "network": found.network,
        "chain_id": found.chain_id,
        "height": found.height,
        "time_s": found.time_s,
        "failure": found.failure or None,
        "call_failure": found.call_failure or None,
        "index": found.index,
        "upgrade": {"version": found.upgrade[0], "height": found.upgrade[1]} if found.upgrade[0] else None,
        "engine": None
        if engine is None
        else {
            "pid": engine.pid,
            "version": engine.version,
            "node_id": engine.node_id,
            "peers": engine.peers,
            "catching_up": engine.catching_up,
            "validator_key": to_hex(engine.key),
            "power": engine.power,
        },
        "engine_failure": found.engine_failure or None,
    }


def _lines(found: "NodeState", now_s: int) -> list[str]:
    lines = [
        f"network    {found.network}, chain id {found.chain_id}",
        f"height     {found.height}, {now_s - found.time_s} s ago",
    ]
    engine = found.engine
    if engine is not None:
        voting = f"{engine.power} votes" if engine.power else "not in the set: it follows"
        lines += [
            f"peers      {engine.peers}{', catching up' if engine.catching_up else ''}",
            f"validator  {to_hex(engine.key)}: {voting}",
            f"engine     CometBFT {engine.version}, process {engine.pid or 'unknown'}",
        ]
    if found.upgrade[0]:
        lines.append(f"upgrade    to version {found.upgrade[0]} at block {found.upgrade[1]}")
    if found.index is not None:
        lines.append(f"index      {found.index.get('behind')} blocks behind")
    return lines


@full_node.command()
@click.argument("file", required=False, type=FILE)
def config(file: Path | None) -> None:
    """Print the default settings, each with what it is for; or check FILE."""
    with needs("full-node"):
        from paraph.full_node.config import FILE_BYTES_MAX, Config, decode_config, encode_config
    if file is None:
        say(encode_config(Config()).decode().rstrip("\n"))
        return
    decode_config(read_file(file, FILE_BYTES_MAX, "the configuration"))
    say(marked(f"✓ {file}: every setting is known and makes sense"))


# --- repairing ---------------------------------------------------------------------------------------------------


@full_node.command()
@home_option
@json_option
def snapshot(folder: Path, as_json: bool) -> None:
    """Write a snapshot of a stopped node's last state, checked first. A running node writes its own.

    It lies in the node's folder under `snapshots`, named by its height; `reset --from-snapshot` starts from it. A
    running node writes one after each `store.snapshot_blocks` blocks.
    """
    with needs("full-node"):
        from paraph.full_node.repair import write_snapshot
    with waiting("writing"):
        place = write_snapshot(folder)
    heights = sorted((int(each.name) for each in place.parent.iterdir() if each.name.isdecimal()), reverse=True)
    if as_json:
        emit({"folder": str(place), "height": int(place.name), "heights": heights})
        return
    say(marked(f"✓ {place}"))
    say(f"  there are those of {', '.join(map(str, heights))}")


@full_node.command()
@home_option
@click.option(
    "--from-snapshot",
    "source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Put this snapshot in the place of the chain, once every chunk and the state root are checked.",
)
@click.option("--replay", is_flag=True, help="Work the chain out again from the engine's blocks, from the first on.")
@click.option("--all", "everything", is_flag=True, help="Drop the engine's blocks too; fetch them from other nodes.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def reset(folder: Path, source: Path | None, replay: bool, everything: bool, yes: bool, as_json: bool) -> None:
    """Repair a stopped node. Keys, settings and the record of the last vote stay.

    --from-snapshot is for a damaged chain: the engine's blocks after the snapshot are applied at the next start. The
    engine must have them all, and the snapshot be no newer than its last block, else that start says so.

    --replay is for a damaged chain without a snapshot, if the engine has all blocks: not after a state sync.

    --all is for damaged or lost blocks. The next start fetches everything from peers: block by block, or a snapshot of
    theirs when the settings under [sync] say where to find one.

    Where one producer makes the blocks there is nobody to repair from: copy such a folder, while it is stopped.
    """
    with needs("full-node"):
        from paraph.full_node.repair import forget_all, forget_chain, restore
    if (source is not None) + replay + everything != 1:
        raise click.UsageError("say one of --from-snapshot, --replay, --all")
    if source is not None:
        with waiting("checking and filling"):
            header = restore(folder, source)
        told = {"height": header.height, "state_root": to_hex(header.state_root)}
        what = f"the chain is at block {header.height}; the engine's later blocks follow at the next start"
    else:
        if not yes:
            gone = "chain and the engine's blocks" if everything else "chain"
            click.confirm(f"delete the {gone} in {folder}?", abort=True, err=True)
        (forget_all if everything else forget_chain)(folder)
        told, what = {"height": 0}, "the next start begins before the first block"
    if as_json:
        emit({"home": str(folder), **told})
        return
    say(marked(f"✓ {what}"))
