"""`paraph testnet`: a devnet whose blocks are agreed on by several validators, all on this machine.

Everything else is as in `paraph devnet`: accounts with play money, models, an inference node.
"""

from pathlib import Path
from typing import Final

import click

from paraph.cli.devnet import at, show, stop, tell_up
from paraph.cli.places import home, json_option, needs
from paraph.cli.terminal import note

VALIDATORS: Final = 4
"""The fewest of which one may fail: more than two thirds must vote."""
VALIDATORS_MAX: Final = 40
"""As many as a set has by default."""

home_option = click.option(
    "--home",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the testnet; by default ~/.paraph/testnet.",
)


class Upward(click.Group):
    """A group whose options alone mean `up`. A subclass because click has no other way to a default command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read `--validators 4` as `up --validators 4`."""
        bare = bool(args) and args[0].startswith("-") and args[0] not in ctx.help_option_names
        return super().parse_args(ctx, ["up", *args] if bare else args)


@click.group(cls=Upward)
def testnet() -> None:
    """A network of validators on this machine: full nodes under CometBFT, an inference node, models, play money.

    `paraph testnet --validators 4` makes it and starts it; `up` may be left out.
    """


@testnet.command()
@click.option(
    "--validators",
    type=click.IntRange(1, VALIDATORS_MAX),
    help=f"How many, when it is made: {VALIDATORS} by default. Afterwards it stays as it is.",
)
@click.option("--follower", is_flag=True, help="With one more full node, which follows them and does not vote.")
@home_option
@json_option
def up(validators: int | None, follower: bool, folder: Path | None, as_json: bool) -> None:
    """Make the testnet if it is not there, and start what does not run.

    Homes, keys, genesis and settings are written into one folder. It needs CometBFT: `make engine` installs it.
    """
    found = at(folder or _usual())
    with needs("devnet"):
        from paraph.devnet.shape import Shape
    # What is there and was not asked to be otherwise stays as it is.
    asked = validators is not None or follower or not found.made
    found.up(lambda step: note(f"· {step}"), Shape(validators or VALIDATORS, follower) if asked else None)
    tell_up(found, _usual(), "testnet", as_json=as_json)


@testnet.command()
@home_option
@click.option("--forget", is_flag=True, help="Delete the testnet's folder too: its chain, its keys, its models.")
@json_option
def down(folder: Path | None, forget: bool, as_json: bool) -> None:
    """Stop what runs; the chain and the keys stay."""
    stop(at(folder or _usual()), forget=forget, as_json=as_json)


@testnet.command()
@home_option
@json_option
def status(folder: Path | None, as_json: bool) -> int:
    """What runs, and where. Exit code 1 when something does not run."""
    return show(at(folder or _usual()), "`paraph testnet --validators 4`", as_json=as_json)


def _usual() -> Path:
    return home() / "testnet"
