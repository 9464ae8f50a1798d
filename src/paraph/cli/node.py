"""`paraph node`: inference nodes, seen by those who ask them and run by those who operate them."""

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paraph.cli.layers import bits_of, layers_option, words_of
from paraph.cli.places import (
    FILE,
    find_network,
    json_option,
    key_options,
    needs,
    network_option,
    open_client,
    open_network,
    read_password,
)
from paraph.cli.terminal import emit, marked, printable, say, table, waiting
from paraph.cli.trust import min_trust_option
from paraph.core.amount import format_opg, parse_opg
from paraph.core.errors import Rejected, Unverified
from paraph.core.ident import Address, ModelId, to_hex
from paraph.core.keys import address_from_text, checksummed
from paraph.proofs.meeting import judge_meeting
from paraph.proofs.quotes.claims import trust_class

if TYPE_CHECKING:
    import ssl

    from paraph.flows.transact import Sent
    from paraph.ledger.rooms.nodes.types import Node
    from paraph.sdk.client import Client

HOME = click.Path(file_okay=False, path_type=Path)


@click.group()
def node() -> None:
    """Inference nodes: look at them, register one, run one."""


# --- looking -----------------------------------------------------------------------------------------------------


@node.command("list")
@network_option
@json_option
def list_(network_file: Path | None, as_json: bool) -> None:
    """The registered nodes."""
    found = _nodes(network_file)
    if as_json:
        emit([_facts(address, each) for address, each in found.items()])
        return
    rows = [
        (checksummed(address), each.endpoint, str(len(each.models)), format_opg(each.bond), _ago(each.heartbeat_s))
        for address, each in found.items()
    ]
    for line in table(rows, ("node", "endpoint", "models", "bond", "heard of")):
        say(line)


@node.command()
@click.argument("address")
@network_option
@json_option
def show(address: str, network_file: Path | None, as_json: bool) -> None:
    """What the ledger knows of the node ADDRESS, and of its enclave."""
    account, found = _one(address, network_file)
    facts = _facts(account, found)
    facts["enclave"] = _enclave(account, network_file)
    if as_json:
        emit(facts)
        return
    rows = {
        "node": checksummed(account),
        "endpoint": found.endpoint,
        "bond": f"{format_opg(found.bond)} OPG",
        "signs with": checksummed(found.hot_key),
        "heard of": _ago(found.heartbeat_s),
        "layers": ", ".join(facts["layers"]),
        "models": ", ".join(facts["models"]) or "none",
    }
    rows |= facts["enclave"] or {"enclave": "none"}
    for title, value in rows.items():
        say(f"{title:10} {printable(str(value))}")


@node.command()
@click.argument("address")
@click.option(
    "--save",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Keep the meeting with all its proofs, for `paraph verify`.",
)
@min_trust_option
@network_option
@json_option
def attest(address: str, save: Path | None, min_trust: str, network_file: Path | None, as_json: bool) -> None:
    """Meet the enclave of the node ADDRESS now, as a client does before its first prompt.

    The ledger's record, whoever holds the TLS key that it names, and an attestation for a nonce of ours. Exit code 1
    when it may not be spoken to, with the reason.
    """
    from paraph.cli.reading import ask
    from paraph.flows.meet import Memory, meet
    from paraph.sdk.saving import save as keep

    account, found = _one(address, network_file)
    network = open_network(find_network(network_file))
    met = ask(network, meet(network.trust, account, found.endpoint, trust_class(min_trust), Memory()))
    document = met.document()
    if save is not None:
        keep(document.encode(), save)
    verdict = judge_meeting(document, network.trust, trust_class(min_trust))
    if as_json:
        emit({"node": to_hex(account), "saved": None if save is None else str(save), **verdict.as_json()})
        return
    say(marked(f"✓ met {checksummed(account)}; trust class {met.claims.trust.word}"))
    for claim in verdict.claims:
        say(marked(printable(f"  ✓ {claim.sentence}")))
    if save is not None:
        say(printable(f"  saved: {save}"))


@node.command()
@click.argument("address")
@network_option
@json_option
def status(address: str, network_file: Path | None, as_json: bool) -> int:
    """Whether the node ADDRESS answers, and is ready. Exit code 1 when it is not."""
    import httpx

    account, found = _one(address, network_file)
    began = time.monotonic()
    try:
        url = found.endpoint.rstrip("/") + "/v2/health/ready"
        reply = httpx.get(url, timeout=10, trust_env=False, verify=_tls_of(account, network_file))
        ready, why = reply.status_code == httpx.codes.OK, f"HTTP {reply.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL, Unverified) as error:
        ready, why = False, str(error) or type(error).__name__
    took_ms = round((time.monotonic() - began) * 1000)
    if as_json:
        emit({**_facts(account, found), "ready": ready, "took_ms": took_ms, "said": why})
    else:
        say(marked(printable(f"{'✓ ready' if ready else '✗ not ready'}: {found.endpoint}, {why}, {took_ms} ms")))
    return 0 if ready else 1


# --- operating ---------------------------------------------------------------------------------------------------


@node.command()
@click.option("--home", "folder", type=HOME, required=True, help="The node's folder, made when absent.")
@click.option("--operator", metavar="ADDRESS", required=True, help="The account that will register the node.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65_535), default=8_600, show_default=True)
@click.option(
    "--enclave",
    type=click.Choice(("", "nitro", "snp", "tdx", "simulated")),
    default="",
    help="The platform of the enclave that the node runs in; it then serves the layer tee.",
)
@network_option
@json_option
def init(
    folder: Path, operator: str, host: str, port: int, enclave: str, network_file: Path | None, as_json: bool
) -> None:
    """Make a node's folder: its configuration, and a hot key that signs its receipts.

    The hot key opens with a password in a file beside it, since the node starts by itself; give it only what gas costs.
    """
    from paraph.adapters.keys.keystore import new_key, save_key, write_private
    from paraph.adapters.system import random_bytes

    with needs("node"):
        from paraph.inference_node.config import FILE as CONFIG
        from paraph.inference_node.config import KEY, MANIFESTS, PASSWORD, Config
    network = open_network(network_file)
    account = address_from_text(operator, "--operator")
    (folder / MANIFESTS).mkdir(mode=0o700, parents=True, exist_ok=True)
    password = random_bytes(32).hex()
    key = new_key()
    with waiting("encrypting the hot key"):
        save_key(folder / KEY, key, password)
    write_private(folder / PASSWORD, password.encode())
    config = Config(folder, network.rpc_url, network.trust, account, (), host=host, port=port, enclave=enclave)
    write_private(folder / CONFIG, (json.dumps(config.as_json(), indent=1) + "\n").encode())
    if as_json:
        emit({"home": str(folder), "hot_key": to_hex(key.address), "operator": to_hex(account)})
        return
    say(marked(f"✓ {folder}: hot key {checksummed(key.address)}"))
    say(f"  next: paraph wallet send {checksummed(key.address)} 10")
    say(f"        paraph model push … --node-home {folder}")
    layer = " --layer tee" if enclave else ""
    say(f"        paraph node register --home {folder} --endpoint URL --model NAME{layer}")
    say(f"        paraph node run --home {folder}")


@node.command()
@click.option("--home", "folder", type=HOME, help="The node's folder, for its hot key.")
@click.option("--hot-key", "hot_file", type=FILE, help="The hot key's file, where there is no folder.")
@click.option("--hot-password-file", type=FILE, help="File with the hot key's password.")
@click.option("--endpoint", required=True, metavar="URL", help="Where clients reach the node.")
@click.option("--model", "models", multiple=True, required=True, help="A model it serves, by name or id; repeat it.")
@click.option("--bond", default="1000", show_default=True, metavar="OPG", help="Comes back some time after leaving.")
@layers_option("signature")
@network_option
@key_options
@json_option
def register(
    folder: Path | None,
    hot_file: Path | None,
    hot_password_file: Path | None,
    endpoint: str,
    models: tuple[str, ...],
    bond: str,
    layers: tuple[str, ...],
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """Register the wallet's account as a node, with its bond, and the hot key that signs its receipts."""
    from paraph.adapters.keys.keystore import load_key
    from paraph.ledger.rooms.nodes.calls import CONTRACT as NODES
    from paraph.ledger.rooms.nodes.rules import key_proof_digest

    if (folder is None) == (hot_file is None):
        raise click.UsageError("name the hot key: either --home or --hot-key")
    if folder is not None:
        with needs("node"):
            from paraph.inference_node.config import KEY, PASSWORD
        hot_file, hot_password_file = folder / KEY, folder / PASSWORD
    hot = load_key(hot_file, read_password(hot_password_file, f"password of {hot_file}"))  # type: ignore[arg-type]
    wei = parse_opg(bond)
    with open_client(network_file, wallet_file, password_file, devnet_key) as client, waiting("registering"):
        proof = hot.sign(key_proof_digest(client.network.trust.chain_id, client.account))
        arguments = (endpoint, hot.address, proof, bits_of(layers), _ids(client, models))
        sent = client.transact(NODES, "register", *arguments, value=wei)
        account = client.account
    _told(sent, f"node {checksummed(account)} registered, with a bond of {format_opg(wei)} OPG", as_json)


@node.command()
@click.option("--endpoint", metavar="URL", help="Where clients reach the node; by default as before.")
@click.option("--model", "models", multiple=True, required=True, help="All the models it serves from now on.")
@layers_option()
@network_option
@key_options
@json_option
def update(
    endpoint: str | None,
    models: tuple[str, ...],
    layers: tuple[str, ...],
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """Tell the ledger where your node answers, and what it serves."""
    from paraph.ledger.rooms.nodes.calls import CONTRACT as NODES

    with open_client(network_file, wallet_file, password_file, devnet_key) as client, waiting("updating"):
        mine = client.nodes().get(client.account)
        if mine is None:
            raise Rejected("nodes.unknown", f"{checksummed(client.account)} is not a registered node")
        sent = client.transact(
            NODES, "update", endpoint or mine.endpoint, bits_of(layers) if layers else mine.layers, _ids(client, models)
        )
    _told(sent, "updated", as_json)


@node.command()
@network_option
@key_options
@json_option
def heartbeat(
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """Say that your node lives. A running node does it by itself."""
    from paraph.ledger.rooms.nodes.calls import CONTRACT as NODES

    with open_client(network_file, wallet_file, password_file, devnet_key) as client, waiting("sending"):
        sent = client.transact(NODES, "heartbeat")
    _told(sent, "heartbeat", as_json)


@node.command()
@click.option("--bond", is_flag=True, help="Take the bond out, once its delay has passed.")
@network_option
@key_options
@json_option
def leave(
    bond: bool,
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """Take your node off the ledger. Its bond stays for a while: `leave --bond` takes it out."""
    from paraph.ledger.rooms.nodes.calls import CONTRACT as NODES

    with open_client(network_file, wallet_file, password_file, devnet_key) as client, waiting("leaving"):
        sent = client.transact(NODES, "withdrawBond" if bond else "deregister")
    _told(sent, "the bond is back" if bond else "left; its bond comes back after the delay", as_json)


@node.command()
@click.argument("receipt_key")
@network_option
@key_options
@json_option
def challenge(
    receipt_key: str,
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """Have the enclave closed that signs with RECEIPT_KEY, because something it stands on was revoked. Anyone can."""
    from paraph.ledger.rooms.nodes.calls import CONTRACT as NODES

    account = address_from_text(receipt_key, "RECEIPT_KEY")
    with open_client(network_file, wallet_file, password_file, devnet_key) as client, waiting("challenging"):
        sent = client.transact(NODES, "challenge", account)
    _told(sent, f"the enclave of {checksummed(account)} is closed", as_json)


@node.command()
@click.option("--home", "folder", type=HOME, required=True, help="The node's folder.")
def run(folder: Path) -> None:
    """Run the inference node of a folder, in this process. It stops gracefully at Ctrl-C and SIGTERM."""
    with needs("node"):
        import paraph.inference_node.__main__  # noqa: F401  says now what is missing, not after the exec
    os.execv(sys.executable, [sys.executable, "-m", "paraph.inference_node", "--home", str(folder)])  # noqa: S606


# --- parts -------------------------------------------------------------------------------------------------------


def _nodes(network_file: Path | None) -> "dict[Address, Node]":
    from paraph.cli.reading import ask
    from paraph.flows import registry

    network = open_network(find_network(network_file))
    return ask(network, registry.nodes(network.trust))


def _one(address: str, network_file: Path | None) -> "tuple[Address, Node]":
    account = address_from_text(address, "ADDRESS")
    found = _nodes(network_file).get(account)
    if found is None:
        raise Rejected("nodes.unknown", f"{checksummed(account)} is not a registered node")
    return account, found


def _tls_of(account: Address, network_file: Path | None) -> "ssl.SSLContext | bool":
    """How a node's address is reached: an enclave is known by its key, others by certificate authorities."""
    from paraph.adapters.http.tls import pinned
    from paraph.cli.reading import ask
    from paraph.flows.meet import known
    from paraph.proofs.attestation import keyset_of

    network = open_network(find_network(network_file))
    try:
        return pinned(keyset_of(ask(network, known(network.trust, account)).enclave.keyset).tls_key)
    except Unverified as error:
        if error.code != "meet.unknown":
            raise
        return True


def _enclave(account: Address, network_file: Path | None) -> dict[str, Any] | None:
    """What the ledger knows of a node's enclave; None where it has none."""
    from paraph.cli.reading import ask
    from paraph.flows.meet import known
    from paraph.proofs.attestation import keyset_of
    from paraph.proofs.attested import described

    network = open_network(find_network(network_file))
    try:
        found = ask(network, known(network.trust, account))
    except Unverified as error:
        if error.code != "meet.unknown":
            raise
        return None
    enclave, release = found.enclave, found.release
    keys = keyset_of(enclave.keyset)
    ended = f"closed at block {enclave.height_last}" if enclave.height_last else ""
    return {
        "enclave": described(enclave),
        "runs": f"{release.name} ({release.source})",
        "release": to_hex(enclave.release),
        "module": enclave.module,
        "tls key": to_hex(keys.tls_key),
        "receipts": checksummed(keys.receipt_key),
        "verified": f"block {enclave.height_first}",
        "expires": ended or time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(enclave.expires_s)),
    }


def _ids(client: "Client", names: tuple[str, ...]) -> tuple[ModelId, ...]:
    return tuple(client.offer(name).model_id for name in names)


def _facts(address: Address, found: "Node") -> dict[str, Any]:
    return {
        "node": to_hex(address),
        "endpoint": found.endpoint,
        "bond_wei": str(found.bond),
        "bond_opg": format_opg(found.bond),
        "hot_key": to_hex(found.hot_key),
        "layers": words_of(found.layers),
        "models": [to_hex(model_id) for model_id in found.models],
        "heartbeat_s": found.heartbeat_s,
    }


def _ago(time_s: int) -> str:
    passed = max(int(time.time()) - time_s, 0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if passed >= size:
            return f"{passed // size} {unit} ago"
    return f"{passed} s ago"


def _told(sent: "Sent", what: str, as_json: bool) -> None:
    from paraph.cli.wallet import sent_json

    if as_json:
        emit(sent_json(sent))
    else:
        say(marked(f"✓ {what}, in block {sent.height}"))
