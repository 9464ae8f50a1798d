"""`paraph network`: what is pinned of a network, how long it may still be trusted, and keeping it fresh."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paraph.cli.places import FILE, find_network, json_option, network_option, read_file
from paraph.cli.terminal import emit, marked, printable, say, waiting
from paraph.core.errors import Rejected
from paraph.core.ident import digest_from_hex, to_hex

if TYPE_CHECKING:
    from paraph.proofs.policy import Trust
    from paraph.proofs.seal import Seal

DAY_S = 86_400


@click.group()
def network() -> None:
    """What is pinned of a network: show it, keep it fresh, pin it anew, report who forked it."""


@network.command()
@network_option
@json_option
def show(network_file: Path | None, as_json: bool) -> None:
    """What is pinned, and how long it may still be trusted. Asks nobody."""
    from paraph.sdk.network import load_network

    place = find_network(network_file)
    found = load_network(place)
    trust, now_s = found.trust, int(time.time())
    if as_json:
        emit({"file": str(place), **found.as_json(), **_lasting(trust, now_s)})
        return
    say(printable(f"{trust.network}, chain {trust.chain_id}, in {place}"))
    say(f"  genesis    {to_hex(trust.genesis)}")
    say(printable(f"  full node  {found.rpc_url}"))
    say(printable(f"  witnesses  {', '.join(found.witnesses) or 'none: nobody is asked whether there is a fork'}"))
    if trust.anchor is None:
        say(f"  producers  {', '.join(to_hex(each) for each in trust.producers)}")
        say(marked("✓ a producer signs this network; there is nothing to refresh"))
        return
    anchor = trust.anchor
    say(f"  anchor     block {anchor.height}, {_when(anchor.time_s)}, {len(anchor.validators)} validators")
    say(marked(_verdict(trust, now_s)))


@network.command()
@network_option
@json_option
def refresh(network_file: Path | None, as_json: bool) -> None:
    """Follow the chain to its head, and pin that. Needs no new trust; an anchor that expired needs `anchor`."""
    from paraph.sdk.light.anchors import refresh as refreshed
    from paraph.sdk.network import load_network

    place = find_network(network_file)
    with waiting("following the chain"):
        newest = refreshed(place)
    trust, now_s = load_network(place).trust, int(time.time())
    told = {"height": newest.header.height, "hash": to_hex(newest.header.hash()), **_anchored(newest.seal)}
    silent = [{"witness": each.server, "code": each.code, "message": each.sentence} for each in newest.notes]
    if as_json:
        emit({"file": str(place), **told, **_lasting(trust, now_s), "witnesses_silent": silent})
        return
    for each in newest.notes:
        say(marked(printable(f"– witness {each.server} said nothing: {each.sentence}")))
    say(f"the newest state is that after block {newest.header.height}")
    if trust.anchor is None:
        say(marked("✓ a producer signs this network; there is nothing to refresh"))
        return
    # This line is what a friend reads out to another whose anchor expired.
    say(f"pinned: --height {told['anchor_height']} --hash {told['anchor_hash']}")
    say(marked(_verdict(trust, now_s)))


@network.command()
@click.option("--height", type=click.IntRange(1), required=True, help="Of the engine's block.")
@click.option("--hash", "block_hash", metavar="0x…", required=True, help="Its hash, from somebody you trust.")
@network_option
@json_option
def anchor(height: int, block_hash: str, network_file: Path | None, as_json: bool) -> None:
    """Pin a block by hand: its height and hash, as `paraph network refresh` shows them to somebody you trust.

    Whoever told you the hash decides what you believe from here on.
    """
    from paraph.sdk.light.anchors import pin

    wanted = digest_from_hex(block_hash.lower(), "--hash")
    place = find_network(network_file)
    with waiting("asking for the block"):
        trust = pin(place, height, wanted)
    now_s = int(time.time())
    if as_json:
        emit({"file": str(place), "anchor_height": height, "anchor_hash": to_hex(wanted), **_lasting(trust, now_s)})
        return
    say(f"pinned: --height {height} --hash {to_hex(wanted)}")
    say(marked(_verdict(trust, now_s)))


@network.command("report-fork")
@click.argument("file", type=FILE)
@click.option(
    "--rpc",
    "urls",
    metavar="URL",
    multiple=True,
    help="A full node to tell, or several; else those of the network file.",
)
@network_option
@json_option
def report_fork(file: Path, urls: tuple[str, ...], network_file: Path | None, as_json: bool) -> None:
    """Tell full nodes of a fork: FILE is the evidence that a light client wrote.

    Each judges it by its own chain, and hands what convicts a validator to consensus: the validator's bond pays.
    """
    from paraph.adapters.http.client import Means, SyncDriver
    from paraph.adapters.system import SystemClock, random_bytes
    from paraph.core.encode import decode, take
    from paraph.core.limits import JSON_BYTES_MAX
    from paraph.flows.fork import report, summary
    from paraph.proofs.light.conflict import fork_from_json
    from paraph.sdk.network import load_network

    kept = decode(read_file(file, JSON_BYTES_MAX, "the evidence"))
    fork = fork_from_json(take(kept, "the evidence", "code", "said", "evidence")[2])
    if not urls:
        found = load_network(find_network(network_file))
        urls = (found.rpc_url, *found.witnesses)
    driver = SyncDriver(Means(urls[0], SystemClock().now_ms, random_bytes, witnesses=urls[1:]))
    try:
        with waiting("telling full nodes"):
            reports = driver.run(report(fork))
    finally:
        driver.close()
    if not any(each.taken for each in reports):
        raise Rejected("fork.not_taken", f"nothing came of the report: {summary(reports)}")
    if as_json:
        emit([{"url": urls[each.server], "taken": each.taken, "message": each.sentence} for each in reports])
        return
    for each in reports:
        say(marked(printable(f"{'✓' if each.taken else '✗'} {urls[each.server]}: {each.sentence}")))


# --- words -------------------------------------------------------------------------------------------------------


def _lasting(trust: "Trust", now_s: int) -> dict[str, Any]:
    if trust.anchor is None:
        return {"trusted_until": None, "trusted_s": None}
    from paraph.proofs.light.period import trusted_until_s

    until_s = trusted_until_s(trust.anchor, trust.trusting_period_s)
    return {"trusted_until": until_s, "trusted_s": max(until_s - now_s, 0)}


def _anchored(seal: "Seal") -> dict[str, Any]:
    from paraph.proofs.seal import ValidatorSeal

    if not isinstance(seal, ValidatorSeal):
        return {"anchor_height": None, "anchor_hash": None}
    header = seal.blocks[-1].header
    return {"anchor_height": header.height, "anchor_hash": to_hex(header.hash())}


def _verdict(trust: "Trust", now_s: int) -> str:
    lasting = _lasting(trust, now_s)
    until_s, left_s = lasting["trusted_until"], lasting["trusted_s"]
    if not left_s:
        more = "ask somebody you trust for `paraph network refresh`, and pin what it shows: `paraph network anchor`"
        return f"✗ the anchor expired at {_when(until_s)}: {more}"
    left = f"{left_s // DAY_S} days" if left_s >= 2 * DAY_S else f"{left_s // 3600} hours {left_s % 3600 // 60} min"
    return f"✓ the anchor may be trusted until {_when(until_s)}, {left} more"


def _when(time_s: int) -> str:
    try:
        return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError):
        return f"second {time_s}"
