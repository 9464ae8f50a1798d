"""Where things are: the home folder, the network that is meant, and the key that pays.

Everything lies in one folder, `~/.paraph`, or PARAPH_HOME. An option comes before an environment variable, and that
before the home folder.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from paraph.cli.terminal import note
from paraph.core.errors import Malformed, Unavailable

if TYPE_CHECKING:
    from paraph.core.keys import PrivateKey
    from paraph.sdk.client import Client
    from paraph.sdk.network import Network

F = TypeVar("F", bound=Callable[..., Any])

PASSWORD_BYTES_MAX = 4096
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def home() -> Path:
    """The folder for what a person keeps."""
    return Path(os.environ.get("PARAPH_HOME") or Path.home() / ".paraph")


def devnet_home() -> Path:
    """Where the devnet is by default."""
    return home() / "devnet"


# --- options that several commands share -------------------------------------------------------------------------

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def network_option(command: F) -> F:
    """`--network`: which network file."""
    return click.option(
        "--network",
        "network_file",
        type=FILE,
        envvar="PARAPH_NETWORK",
        show_envvar=True,
        help="Network file; by default ~/.paraph/network.json, then the devnet's.",
    )(command)


def key_options(command: F) -> F:
    """`--wallet`, `--password-file`, `--devnet-key`: who pays and signs."""
    for option in (
        click.option("--devnet-key", metavar="NAME", help="Use this key of the devnet (user, developer, operator…)."),
        click.option(
            "--password-file",
            type=FILE,
            envvar="PARAPH_PASSWORD_FILE",
            show_envvar=True,
            help="File with the wallet's password; without it the password is asked for.",
        ),
        click.option(
            "--wallet",
            "wallet_file",
            type=click.Path(dir_okay=False, path_type=Path),
            envvar="PARAPH_WALLET",
            show_envvar=True,
            help="Key file; by default ~/.paraph/wallet.json, then the devnet's user.",
        ),
    ):
        command = option(command)
    return command


# --- finding -----------------------------------------------------------------------------------------------------


def find_network(given: Path | None) -> Path:
    """The network file that is meant. Raises `click.UsageError` when there is none."""
    for place in (given, home() / "network.json", devnet_home() / "network.json"):
        if place is not None and place.exists():
            return place
    raise click.UsageError(
        "no network is known: `paraph devnet up` starts one here; --network or PARAPH_NETWORK names a network's file"
    )


def open_network(given: Path | None) -> "Network":
    """The network that is meant. Raises as `find_network` and `load_network` do."""
    from paraph.sdk.network import load_network

    return load_network(find_network(given))


def find_key(wallet: Path | None, password: Path | None, devnet_key: str | None) -> "PrivateKey":
    """The key that is meant.

    Raises:
        click.UsageError: there is none. And as `load_key` does.
    """
    from paraph.adapters.keys.keystore import load_key

    if devnet_key is not None:
        return _devnet_key(devnet_key)
    place = wallet or home() / "wallet.json"
    if wallet is not None or place.exists():
        return load_key(place, read_password(password, f"password of {place}"))
    if (devnet_home() / "keys" / "user.json").exists():
        note("· paying with the devnet's key `user`; `paraph wallet new` makes one of your own")
        return _devnet_key("user")
    raise click.UsageError("no wallet is there: `paraph wallet new` makes one, --wallet names another")


def _devnet_key(name: str) -> "PrivateKey":
    from paraph.adapters.keys.keystore import load_key

    folder = devnet_home()
    place = folder / "keys" / f"{name}.json"
    if not place.exists() or Path(name).name != name:
        names = ", ".join(sorted(each.stem for each in (folder / "keys").glob("*.json")))
        raise click.UsageError(f"the devnet in {folder} has no key {name!r}" + (f"; it has {names}" if names else ""))
    return load_key(place, (folder / "password").read_text())


def read_password(file: Path | None, what: str, *, confirm: bool = False) -> str:
    """The password, from its file or asked for."""
    if file is not None:
        return read_file(file, PASSWORD_BYTES_MAX, "the password file").decode("utf-8", "strict").rstrip("\r\n")
    asked: str = click.prompt(what, hide_input=True, confirmation_prompt=confirm, err=True)
    return asked


def open_client(network: Path | None, wallet: Path | None, password: Path | None, devnet_key: str | None) -> "Client":
    """A client of the network that is meant, paying with the key that is meant."""
    from paraph.sdk.client import Client

    found = open_network(network)
    return Client(found, find_key(wallet, password, devnet_key))


def read_file(path: Path, bytes_max: int, what: str) -> bytes:
    """A file of bounded size. Raises `Malformed` (`cli.file_size`), `Unavailable` (`cli.file`)."""
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except OSError as error:
        raise Unavailable("cli.file", f"{path} cannot be read: {error.strerror}") from error
    if len(data) > bytes_max:
        raise Malformed("cli.file_size", f"{what} {path} is larger than {bytes_max} bytes")
    return data


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Around imports that the base install lacks. Raises `Unavailable` (`cli.extra`), naming what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "paraph":
            raise
        raise Unavailable(
            "cli.extra",
            f"this command needs more than the base install: pip install 'paraph[{extra}]'",
            extra=extra,
            missing=str(error.name),
        ) from error
