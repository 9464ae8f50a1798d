"""`paraph wallet`: a key of one's own, what it holds, and the escrow that answers are paid from."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paraph.cli.places import (
    FILE,
    find_key,
    home,
    json_option,
    key_options,
    network_option,
    open_client,
    open_network,
    read_file,
    read_password,
)
from paraph.cli.terminal import emit, marked, say, waiting
from paraph.core.amount import format_opg, parse_opg
from paraph.core.encode import as_object, decode
from paraph.core.errors import Malformed
from paraph.core.ident import Address, to_hex
from paraph.core.keys import address_from_text, checksummed

if TYPE_CHECKING:
    from paraph.flows.transact import Sent

KEYSTORE_BYTES_MAX = 16 * 1024
PASSWORD_LENGTH_MIN = 8


@click.group()
def wallet() -> None:
    """Your key, its balance and its escrow. The key is an Ethereum keystore file; it never leaves this machine."""


@wallet.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--password-file",
    type=FILE,
    envvar="PARAPH_PASSWORD_FILE",
    show_envvar=True,
    help="File with the password; without it the password is asked for.",
)
@json_option
def new(file: Path | None, password_file: Path | None, as_json: bool) -> None:
    """Make a key and keep it in FILE, encrypted (by default ~/.paraph/wallet.json). Never overwrites one."""
    from paraph.adapters.keys.keystore import new_key, save_key

    place = file or home() / "wallet.json"
    if place.exists():
        # Before a password is asked for; saving refuses it again.
        raise click.UsageError(f"{place} exists already; choose another name")
    password = read_password(password_file, f"new password for {place}", confirm=True)
    if len(password) < PASSWORD_LENGTH_MIN:
        raise Malformed("wallet.password", f"the password must have {PASSWORD_LENGTH_MIN} characters or more")
    key = new_key()
    with waiting("encrypting"):
        save_key(place, key, password)
    if as_json:
        emit({"file": str(place), "address": to_hex(key.address)})
        return
    say(marked(f"✓ {checksummed(key.address)}"))
    say(f"  in {place}: keep the file and its password; nobody can restore them")


@wallet.command()
@key_options
@json_option
def show(wallet_file: Path | None, password_file: Path | None, devnet_key: str | None, as_json: bool) -> None:
    """The wallet's address. Needs no password."""
    address = own_address(wallet_file, password_file, devnet_key)
    if as_json:
        emit({"address": to_hex(address)})
    else:
        say(checksummed(address))


@wallet.command()
@click.argument("account", required=False)
@network_option
@key_options
@json_option
def balance(
    account: str | None,
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """What ACCOUNT (by default the wallet) holds, proved by the ledger's state."""
    from paraph.cli.reading import ask
    from paraph.flows import registry

    network = open_network(network_file)
    address = _account(account, wallet_file, password_file, devnet_key)
    held = ask(network, registry.balance(network.trust, address))
    if as_json:
        emit({"address": to_hex(address), **_amount("balance", held)})
    else:
        say(f"{format_opg(held)} OPG")


@wallet.command()
@click.argument("account", required=False)
@network_option
@key_options
@json_option
def escrow(
    account: str | None,
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """What ACCOUNT (by default the wallet) has in escrow, proved by the ledger's state."""
    from paraph.cli.reading import ask
    from paraph.flows import registry

    network = open_network(network_file)
    address = _account(account, wallet_file, password_file, devnet_key)
    found = ask(network, registry.escrow(network.trust, address))
    if as_json:
        amounts = _amount("available", found.available) | _amount("leaving", found.leaving)
        emit({"address": to_hex(address), **amounts, "unlock_s": found.unlock_s})
        return
    say(f"{format_opg(found.available)} OPG available")
    if found.leaving:
        say(f"{format_opg(found.leaving)} OPG leaving, from {_moment(found.unlock_s)} on: `paraph wallet withdraw`")


@wallet.command()
@click.argument("amount", metavar="OPG")
@network_option
@key_options
@json_option
def deposit(
    amount: str,
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """Put OPG into escrow, where signed requests are paid from."""
    wei = parse_opg(amount)
    with open_client(network_file, wallet_file, password_file, devnet_key) as client, waiting("depositing"):
        sent = client.deposit(wei)
    _told(sent, f"{format_opg(wei)} OPG deposited", as_json)


@wallet.command()
@click.argument("amount", metavar="[OPG]", required=False)
@click.option("--cancel", is_flag=True, help="Keep in escrow what was to leave.")
@network_option
@key_options
@json_option
def withdraw(
    amount: str | None,
    cancel: bool,
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """Ask OPG back from escrow; after the delay, `withdraw` without an amount takes them out.

    The delay lets signed requests be settled first: hours, by the ledger's parameter withdraw_delay_s.
    """
    from paraph.ledger.rooms.escrow.calls import CONTRACT as ESCROW

    if cancel and amount is not None:
        raise click.UsageError("--cancel takes no amount")
    wei = None if amount is None else parse_opg(amount)
    with open_client(network_file, wallet_file, password_file, devnet_key) as client, waiting("withdrawing"):
        if wei is not None:
            sent, what = client.transact(ESCROW, "requestWithdrawal", wei), f"{format_opg(wei)} OPG asked back"
        elif cancel:
            sent, what = client.transact(ESCROW, "cancelWithdrawal"), "nothing leaves the escrow"
        else:
            sent, what = client.transact(ESCROW, "withdraw"), "withdrawn"
    _told(sent, what, as_json)


@wallet.command()
@click.argument("to", metavar="ADDRESS")
@click.argument("amount", metavar="OPG")
@network_option
@key_options
@json_option
def send(
    to: str,
    amount: str,
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """Send OPG to ADDRESS."""
    target, wei = address_from_text(to, "ADDRESS"), parse_opg(amount)
    with open_client(network_file, wallet_file, password_file, devnet_key) as client, waiting("sending"):
        sent = client.transfer(target, wei)
    _told(sent, f"{format_opg(wei)} OPG sent to {checksummed(target)}", as_json)


# --- parts -------------------------------------------------------------------------------------------------------


def own_address(wallet: Path | None, password: Path | None, devnet_key: str | None) -> Address:
    """The wallet's address, read from the file without opening it; a devnet's key is opened.

    Raises:
        click.UsageError: there is no wallet. Malformed: the file names no address.
    """
    place = wallet or home() / "wallet.json"
    if devnet_key is not None or (wallet is None and not place.exists()):
        return find_key(wallet, password, devnet_key).address
    found = as_object(decode(read_file(place, KEYSTORE_BYTES_MAX, "the wallet")), "the wallet").get("address")
    return address_from_text("0x" + str(found).removeprefix("0x"), f"the address in {place}")


def _account(given: str | None, wallet: Path | None, password: Path | None, devnet_key: str | None) -> Address:
    if given is not None:
        return address_from_text(given, "ACCOUNT")
    return own_address(wallet, password, devnet_key)


def _amount(name: str, wei: int) -> dict[str, Any]:
    return {f"{name}_wei": str(wei), f"{name}_opg": format_opg(wei)}


def _told(sent: "Sent", what: str, as_json: bool) -> None:
    if as_json:
        emit(sent_json(sent))
    else:
        say(marked(f"✓ {what}, in block {sent.height}"))


def sent_json(sent: "Sent") -> dict[str, Any]:
    """A transaction in a block, as JSON."""
    return {"transaction": to_hex(sent.hash), "height": sent.height, "gas_used": sent.gas_used}


def _moment(time_s: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(time_s, UTC).isoformat(sep=" ", timespec="minutes")
