"""`paraph validator`: a full node's part in agreement, bought with a bond and given back.

The operator's wallet and the node's consensus key need not be on one machine: `prove` runs where the node is, and
`create` where the wallet is.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paraph.cli.places import (
    FILE,
    json_option,
    key_options,
    needs,
    network_option,
    open_client,
    open_network,
    read_file,
)
from paraph.cli.terminal import emit, marked, printable, say, table, waiting
from paraph.cli.wallet import own_address, sent_json
from paraph.core.amount import format_opg, parse_opg
from paraph.core.encode import Json, JsonObject, decode, take
from paraph.core.ident import Address, address_from_hex, from_hex, to_hex
from paraph.core.keys import address_from_text, checksummed

if TYPE_CHECKING:
    from paraph.flows.transact import Sent
    from paraph.flows.validators import Standing

HOME = click.Path(exists=True, file_okay=False, path_type=Path)
PROOF_BYTES_MAX = 4096
DELAY_BLOCKS = 2
"""From the block that changes a power to the first one that is voted on with it."""


@click.group()
def validator() -> None:
    """Validators: put up a bond, take part in agreement, leave."""


# --- looking -----------------------------------------------------------------------------------------------------


@validator.command("list")
@network_option
@json_option
def list_(network_file: Path | None, as_json: bool) -> None:
    """All validators, the most powerful first, as the ledger proves them."""
    from paraph.cli.reading import ask
    from paraph.flows import validators

    network = open_network(network_file)
    found = ask(network, validators.validators(network.trust))
    if as_json:
        emit([_facts(operator, each) for operator, each in found.items()])
        return
    rows = [
        (checksummed(operator), each.validator.moniker, format_opg(each.validator.bond), str(each.power), _state(each))
        for operator, each in found.items()
    ]
    for line in table(rows, ("operator", "moniker", "bond", "votes", "state")):
        say(line)


@validator.command()
@click.argument("operator", required=False)
@network_option
@key_options
@json_option
def show(
    operator: str | None,
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """The validator of OPERATOR (by default the wallet's account), as the ledger proves it."""
    from paraph.cli.reading import ask
    from paraph.flows import validators

    network = open_network(network_file)
    if operator is None:
        account = own_address(wallet_file, password_file, devnet_key)
    else:
        account = address_from_text(operator, "OPERATOR")
    found = ask(network, validators.validator(network.trust, account))
    if as_json:
        emit(_facts(account, found))
        return
    rows = {
        "operator": checksummed(account),
        "moniker": found.validator.moniker,
        "key": to_hex(found.validator.key),
        "bond": f"{format_opg(found.validator.bond)} OPG",
        "votes": str(found.power),
        "state": _state(found),
    }
    for title, value in rows.items():
        say(f"{title:10} {printable(value)}")
    for each in found.unbonding:
        say(f"leaving    {format_opg(each.amount)} OPG, from {_moment(each.mature_s)} on: `paraph validator withdraw`")


# --- operating ---------------------------------------------------------------------------------------------------


@validator.command()
@click.option("--home", "folder", type=HOME, required=True, help="The node's folder, for its consensus key.")
@click.option("--operator", metavar="ADDRESS", required=True, help="The account that will bond.")
@network_option
def prove(folder: Path, operator: str, network_file: Path | None) -> None:
    """Sign, with the node's consensus key, that it joins OPERATOR; prints what `create --proof-file` takes.

    For a wallet on another machine, and before the key moves to a remote signer, which signs votes alone.
    """
    network = open_network(network_file)
    emit(_proof(folder, address_from_text(operator, "--operator"), network.trust.chain_id))


@validator.command()
@click.option("--home", "folder", type=HOME, help="The node's folder, for its consensus key.")
@click.option("--proof-file", type=FILE, help="What `prove` printed on the node's machine.")
@click.option("--moniker", required=True, metavar="NAME", help="How people call it.")
@click.option("--bond", required=True, metavar="OPG", help="A vote for each whole OPG.")
@network_option
@key_options
@json_option
def create(
    folder: Path | None,
    proof_file: Path | None,
    moniker: str,
    bond: str,
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """Make the wallet's account a validator's operator, with its bond. An account does so once, ever.

    Let the node catch up first: a validator that votes on nothing slows the others down.
    """
    from paraph.ledger.rooms.bonds.calls import CONTRACT as STAKING

    if (folder is None) == (proof_file is None):
        raise click.UsageError("name the consensus key: either --home or --proof-file")
    wei = parse_opg(bond)
    with open_client(network_file, wallet_file, password_file, devnet_key) as client, waiting("bonding"):
        if folder is not None:
            found: Json = _proof(folder, client.account, client.network.trust.chain_id)
        else:
            data = read_file(proof_file, PROOF_BYTES_MAX, "the proof")  # type: ignore[arg-type]
            found = decode(data)
        operator, key, proof = take(found, "the proof", "operator", "key", "proof")
        if address_from_hex(operator, "operator") != client.account:
            raise click.UsageError(f"the proof is for {operator}; this wallet is {checksummed(client.account)}")
        arguments = (from_hex(key, 32, "key"), from_hex(proof, 64, "proof"), moniker)
        sent = client.transact(STAKING, "createValidator", *arguments, value=wei)
        account = client.account
    _told(sent, f"{checksummed(account)} operates a validator, with a bond of {format_opg(wei)} OPG", as_json)


@validator.command()
@click.argument("amount", metavar="OPG")
@network_option
@key_options
@json_option
def bond(
    amount: str,
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """Add OPG to your validator's bond."""
    from paraph.ledger.rooms.bonds.calls import CONTRACT as STAKING

    wei = parse_opg(amount)
    with open_client(network_file, wallet_file, password_file, devnet_key) as client, waiting("bonding"):
        sent = client.transact(STAKING, "bond", value=wei)
    _told(sent, f"{format_opg(wei)} OPG bonded", as_json)


@validator.command()
@click.argument("amount", metavar="OPG", required=False)
@click.option("--everything", is_flag=True, help="Unbond the whole bond: leave, for good.")
@network_option
@key_options
@json_option
def unbond(
    amount: str | None,
    everything: bool,
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """Take OPG from your validator's bond. They wait for unbond_delay_s, and answer for faults until then."""
    from paraph.cli.reading import ask
    from paraph.flows import validators
    from paraph.ledger.rooms.bonds.calls import CONTRACT as STAKING

    if (amount is None) != everything:
        raise click.UsageError("say either how many OPG, or --everything")
    with open_client(network_file, wallet_file, password_file, devnet_key) as client, waiting("unbonding"):
        if amount is not None:
            wei = int(parse_opg(amount))
        else:
            wei = ask(client.network, validators.validator(client.network.trust, client.account)).validator.bond
        sent = client.transact(STAKING, "unbond", wei)
    _told(sent, f"{format_opg(wei)} OPG leave the bond; `paraph validator show` says when they may go home", as_json)


@validator.command()
@network_option
@key_options
@json_option
def withdraw(
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """Take out what left the bond, once its delay has passed."""
    from paraph.ledger.rooms.bonds.calls import CONTRACT as STAKING

    with open_client(network_file, wallet_file, password_file, devnet_key) as client, waiting("withdrawing"):
        sent = client.transact(STAKING, "withdraw")
    if as_json:
        emit(sent_json(sent))
    else:
        say(marked(f"✓ withdrawn, in block {sent.height}"))


# --- parts -------------------------------------------------------------------------------------------------------


def _proof(folder: Path, operator: Address, chain_id: int) -> JsonObject:
    from paraph.ledger.rooms.bonds.rules import key_proof_digest

    with needs("full-node"):
        from paraph.adapters.comet.keys import sign_digest
        from paraph.full_node.agreement import ENGINE
    key, proof = sign_digest(folder / ENGINE, key_proof_digest(chain_id, operator))
    return {"operator": to_hex(operator), "key": to_hex(key), "proof": to_hex(proof)}


def _told(sent: "Sent", what: str, as_json: bool) -> None:
    if as_json:
        emit({**sent_json(sent), "height_effective": sent.height + DELAY_BLOCKS})
        return
    say(marked(f"✓ {what}, in block {sent.height}"))
    say(f"  the set that it makes votes from block {sent.height + DELAY_BLOCKS} on")


def _state(found: "Standing") -> str:
    if found.validator.tombstoned_s:
        return f"put out for ever, {_moment(found.validator.tombstoned_s)}"
    if not found.validator.bond:
        return "left"
    return "in the set" if found.power else "outside the set"


def _facts(operator: Address, found: "Standing") -> dict[str, Any]:
    each = found.validator
    return {
        "operator": to_hex(operator),
        "moniker": each.moniker,
        "key": to_hex(each.key),
        "bond_wei": str(each.bond),
        "bond_opg": format_opg(each.bond),
        "power": found.power,
        "tombstoned_s": each.tombstoned_s,
        "unbonding": [{"amount_wei": str(item.amount), "mature_s": item.mature_s} for item in found.unbonding],
    }


def _moment(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat(sep=" ", timespec="minutes")
