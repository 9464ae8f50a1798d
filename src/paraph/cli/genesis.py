"""The genesis of a full node's new home: founded from what the command line says, read from a file, or asked for.

Whoever answers can make one up, so that one asked for is taken only by its digest.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paraph.cli.places import needs, read_file
from paraph.core.amount import Wei, parse_opg
from paraph.core.encode import canonical
from paraph.core.errors import Rejected
from paraph.core.ident import ZERO_ADDRESS, Address, digest_from_hex, to_hex
from paraph.core.keys import address_from_text

if TYPE_CHECKING:
    from paraph.flows.effect import Flow
    from paraph.full_node.setup import Founder
    from paraph.ledger.genesis import Genesis

GENESIS_BYTES_MAX = 64 * 1024 * 1024
"""A hundred thousand allocations are 20 MB."""


def found(network: str, own: "Founder", founding: dict[str, Any]) -> "Genesis":
    """The genesis of a new network, from the options of `init`.

    Raises:
        click.UsageError, Malformed, Rejected: they do not make one.
    """
    from paraph.adapters.system import SystemClock
    from paraph.full_node.setup import FOUNDER_BYTES_MAX, Plan, decode_founder

    missing = [f"--{name.replace('_', '-')}" for name in ("chain_id", "bond") if not founding[name]]
    if missing:
        raise click.UsageError(f"--new needs {' and '.join(missing)} too")
    others = [decode_founder(read_file(each, FOUNDER_BYTES_MAX, "a founder")) for each in founding["founder_files"]]
    governor, remainder = founding["governor"], founding["remainder"]
    return Plan(
        network,
        founding["chain_id"],
        SystemClock().now_ms() // 1000,
        (own, *others),
        parse_opg(founding["bond"]),
        [_allocation(each) for each in founding["allocations"]],
        address_from_text(remainder, "--remainder") if remainder else own.operator,
        address_from_text(governor, "--governor") if governor else ZERO_ADDRESS,
        founding["devnet"],
        dict(_parameter(each) for each in founding["parameters"]),
    ).genesis()


def genesis_of(source: str, digest: str | None) -> "Genesis":
    """The genesis in a file, or of the full node at a URL.

    Raises:
        Rejected: `init.unpinned`: a URL without a digest; `init.digest`: it has another. Malformed: it is none.
    """
    from paraph.ledger.genesis import decode_genesis

    if source.startswith(("http://", "https://")):
        genesis = _asked(source)
    else:
        genesis = decode_genesis(read_file(Path(source), GENESIS_BYTES_MAX, "the genesis").rstrip(b"\n"))
    has = genesis.digest()
    if digest is not None and has != digest_from_hex(digest, "--digest"):
        raise Rejected("init.digest", f"{source} holds the genesis {to_hex(has)}, not {digest}")
    if digest is None and source.startswith(("http://", "https://")):
        raise Rejected(
            "init.unpinned",
            f"{source} says it is of {genesis.network!r} with the genesis {to_hex(has)}, and anyone could; compare "
            "that with what the people of the network publish, then say it with --digest",
            digest=to_hex(has),
        )
    return genesis


def _asked(url: str) -> "Genesis":
    with needs("full-node"):
        from paraph.adapters.http.client import Means, SyncDriver
    from paraph.adapters.system import SystemClock, random_bytes
    from paraph.flows.effect import Rpc, ask
    from paraph.ledger.genesis import decode_genesis

    def flow() -> "Flow[Genesis]":
        return decode_genesis(canonical((yield from ask(Rpc("paraph_getGenesis", ())))))

    driver = SyncDriver(Means(url, SystemClock().now_ms, random_bytes))
    try:
        return driver.run(flow())
    finally:
        driver.close()


def _allocation(text: str) -> tuple[Address, Wei]:
    account, equals, amount = text.partition("=")
    if not equals:
        raise click.UsageError(f"--allocate is ADDRESS=OPG, not {text[:80]!r}")
    return address_from_text(account, "--allocate"), parse_opg(amount)


def _parameter(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    if not (value.isascii() and value.isdigit() and len(value) < 40):
        raise click.UsageError(f"--parameter is NAME=NUMBER, not {text[:80]!r}")
    return name, int(value)
