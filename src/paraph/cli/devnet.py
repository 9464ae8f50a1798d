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
    found = at(folder or devnet_home())
    found.up(lambda step: note(f"· {step}"))
    tell_up(found, devnet_home(), "devnet", as_json=as_json)


@devnet.command()
@home_option
@click.option("--forget", is_flag=True, help="Delete the devnet's folder too: its chain, its keys, its models.")
@json_option
def down(folder: Path | None, forget: bool, as_json: bool) -> None:
    """Stop what runs; the chain and the keys stay."""
    stop(at(folder or devnet_home()), forget=forget, as_json=as_json)


@devnet.command()
@home_option
@json_option
def status(folder: Path | None, as_json: bool) -> int:
    """What runs, and where. Exit code 1 when something does not run."""
    return show(at(folder or devnet_home()), "`paraph devnet up`", as_json=as_json)


# --- what a devnet and a testnet have in common ------------------------------------------------------------------


def at(folder: Path) -> "Devnet":
    """The devnet in a folder, or one to be."""
    with needs("devnet"):
        from paraph.devnet.network import Devnet
    return Devnet(folder.resolve())


def stop(found: "Devnet", *, forget: bool, as_json: bool) -> None:
    """Stop what runs, delete the folder if that is wanted, and say so."""
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


def show(found: "Devnet", maker: str, *, as_json: bool) -> int:
    """Say what runs, and where; `maker` is the command that makes one. Returns the exit code: 1 unless all runs."""
    processes = _processes(found)
    if as_json:
        emit(_facts(found))
    elif not found.made:
        say(f"there is no devnet in {found.home}; {maker} makes one")
    else:
        rows = [
            (name, "running" if facts["running"] else "stopped", str(facts["pid"] or "–"), str(facts["url"]))
            for name, facts in processes.items()
        ]
        for line in table(rows, ("process", "state", "pid", "url")):
            say(line)
    return 0 if found.made and all(facts["running"] for facts in processes.values()) else 1


def tell_up(found: "Devnet", usual: Path, command: str, *, as_json: bool) -> None:
    """Say that it is up, and what to try; `usual` is the folder that `command` takes by itself."""
    if as_json:
        emit(_facts(found))
        return
    say(marked(f"✓ the {command} is up"))
    for line in _how(found, "" if found.home == usual.resolve() else f" --home {found.home}", command):
        say(line)


def _processes(found: "Devnet") -> dict[str, dict[str, object]]:
    return found.status() if found.made else {}  # type: ignore[return-value]


def _facts(found: "Devnet") -> dict[str, object]:
    return {
        "home": str(found.home),
        "made": found.made,
        "validators": found.shape.validators if found.made else 0,
        "network_file": str(found.network_file),
        "trust_file": str(found.trust_file),
        "processes": _processes(found),
    }


def _how(found: "Devnet", home: str, command: str) -> list[str]:
    processes = _processes(found)
    # Other commands look in the devnet's usual folder by themselves, and nowhere else.
    own = found.home == devnet_home().resolve()
    network = "" if own else f"--network {found.network_file} "
    wallet = "" if own else f"--wallet {found.key_file('user')} --password-file {found.home / 'password'} "
    ledger = [facts["url"] for name, facts in processes.items() if name in found.shape.full_nodes]
    return [
        f"  ledger (Ethereum JSON-RPC)  {ledger[0]}",
        *(f"                              {url}" for url in ledger[1:]),
        f"  inference node              {processes['inference-node']['url']}",
        f"  in an enclave (SIMULATED)   {processes['enclave-node']['url']}",
        f"  trust file                  {found.trust_file}",
        "",
        "try",
        f"  paraph chat {network}{wallet}smollm2-135m-instruct 'Say hello.' --save hello.json",
        f"  paraph verify hello.json --trust {found.trust_file}",
        *(["  paraph proxy                # then point any OpenAI client at it"] if own else []),
        f"  paraph {command} down{home}",
    ]
