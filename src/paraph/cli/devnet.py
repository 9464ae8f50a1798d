"""`paraph devnet`: a whole network on this machine, started, stopped and looked at."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from paraph.cli.places import devnet_home, json_option, needs
from paraph.cli.terminal import emit, marked, note, say, table

if TYPE_CHECKING:
    from paraph.devnet.network import Devnet

home_option = click.option(
    "--home",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the devnet; by default ~/.paraph/devnet.",
)


@click.group()
def devnet() -> None:
    """A whole network on this machine: a full node, an inference node, models, and accounts with play money."""


@devnet.command()
@home_option
@json_option
def up(folder: Path | None, as_json: bool) -> None:
    """Make the devnet if it is not there, and start what does not run."""
    found = _devnet(folder)
    found.up(lambda step: note(f"· {step}"))
    if as_json:
        emit(_facts(found))
        return
    say(marked("✓ the devnet is up"))
    for line in _how(found):
        say(line)


@devnet.command()
@home_option
@click.option("--forget", is_flag=True, help="Delete the devnet's folder too: its chain, its keys, its models.")
@json_option
def down(folder: Path | None, forget: bool, as_json: bool) -> None:
    """Stop what runs; the chain and the keys stay."""
    found = _devnet(folder)
    if not found.made:
        if as_json:
            emit({"home": str(found.home), "stopped": [], "forgotten": False})
        else:
            say(f"there is no devnet in {found.home}")
        return
    stopped = found.down()
    if forget:
        shutil.rmtree(found.home)
    if as_json:
        emit({"home": str(found.home), "stopped": stopped, "forgotten": forget})
        return
    say(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")
    if forget:
        say(f"deleted: {found.home}")


@devnet.command()
@home_option
@json_option
def status(folder: Path | None, as_json: bool) -> int:
    """What runs, and where. Exit code 1 when something does not run."""
    found = _devnet(folder)
    if as_json:
        emit(_facts(found))
    elif not found.made:
        say(f"there is no devnet in {found.home}; `paraph devnet up` makes one")
    else:
        rows = [
            (name, "running" if facts["running"] else "stopped", str(facts["pid"] or "–"), str(facts["url"]))
            for name, facts in _processes(found).items()
        ]
        for line in table(rows, ("process", "state", "pid", "url")):
            say(line)
    return 0 if found.made and all(facts["running"] for facts in _processes(found).values()) else 1


def _devnet(folder: Path | None) -> "Devnet":
    with needs("devnet"):
        from paraph.devnet.network import Devnet
    return Devnet((folder or devnet_home()).resolve())


def _processes(found: "Devnet") -> dict[str, dict[str, object]]:
    return found.status() if found.made else {}  # type: ignore[return-value]


def _facts(found: "Devnet") -> dict[str, object]:
    return {
        "home": str(found.home),
        "made": found.made,
        "network_file": str(found.network_file),
        "trust_file": str(found.trust_file),
        "processes": _processes(found),
    }


def _how(found: "Devnet") -> list[str]:
    processes = _processes(found)
    own = found.home == devnet_home().resolve()
    network = "" if own else f"--network {found.network_file} "
    wallet = "" if own else f"--wallet {found.key_file('user')} --password-file {found.home / 'password'} "
    return [
        f"  ledger (Ethereum JSON-RPC)  {processes['full-node']['url']}",
        f"  inference node              {processes['inference-node']['url']}",
        f"  trust file                  {found.trust_file}",
        "",
        "try",
        f"  paraph chat {network}{wallet}smollm2-135m-instruct 'Say hello.' --save hello.json",
        f"  paraph verify hello.json --trust {found.trust_file}",
        "  paraph proxy                # then point any OpenAI client at it" if own else "",
        f"  paraph devnet down{'' if own else f' --home {found.home}'}",
    ]
