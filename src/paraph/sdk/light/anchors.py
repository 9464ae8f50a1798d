"""Keeping the anchor of a network file fresh: trust in validators ends when their bonds may have left.

A newer anchor follows from the older one by the validators' own signatures, so refreshing asks for no new trust. What
was pinned before is kept beside the file: a saved answer is verified by an anchor that is not above its blocks.
"""

from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

import structlog

from paraph.adapters.http.client import Means, SyncDriver
from paraph.adapters.system import SystemClock, random_bytes
from paraph.core.errors import ParaphError, Rejected, must
from paraph.core.ident import Digest
from paraph.flows.effect import Flow
from paraph.flows.fork import reporting
from paraph.flows.verified.follow import Follower, Newest, pinned, view
from paraph.proofs.policy import Trust
from paraph.sdk.network import Network, load_network, save_network, save_trust

T = TypeVar("T")

REFRESH_PART: Final = 3
"""An anchor is renewed when a third of its period has passed: the rest is for a program that did not run meanwhile."""

log = structlog.get_logger("paraph.light")


def refresh(path: Path) -> Newest:
    """Follow the chain from a network file's anchor to its head, and write the newer anchor into the file.

    Where a producer signs there is no anchor, and the file stays as it is.

    Raises:
        Unverified: `light.expired`: the anchor is too old; pin one that somebody trusted tells (`pin`). Else as `view`.
        Unavailable: nobody answers, or the file cannot be written.
    """
    network = load_network(path)
    follower = Follower(network.trust)
    _ask(network, view(follower, ()))
    must(follower.newest is not None, "a view has led the follower somewhere")
    keep_anchor(path, follower.trust)
    return follower.newest  # type: ignore[return-value]


def pin(path: Path, height: int, block_hash: Digest) -> Trust:
    """Pin the block of that height and hash, and write it into the file as its anchor. Who told them is trusted.

    Raises:
        Rejected: `network.no_validators`: a producer signs this network.
        Unverified: `verified.anchor`, `light.…`. Unavailable: as `refresh`.
    """
    network = load_network(path)
    if network.trust.anchor is None:
        raise Rejected("network.no_validators", f"a producer signs {network.trust.network}: there is no anchor to pin")
    trust = _ask(network, pinned(network.trust, height, block_hash))
    _write(path, network, trust)
    return trust


def keep_anchor(path: Path, trust: Trust) -> None:
    """Write a newer anchor of the same network into its file; the file's own wins when it is newer, or there is none.

    Raises:
        Rejected: `network.other`: the file is of another network by now. Unavailable: it cannot be read or written.
    """
    # Read again: somebody may have changed the rest of it, or refreshed it too.
    network = load_network(path)
    if network.trust.genesis != trust.genesis:
        raise Rejected("network.other", f"{path} is of another network by now; start again")
    before, now = network.trust.anchor, trust.anchor
    if before is not None and now is not None and before.height < now.height:
        _write(path, network, trust)


class Keeper:
    """Renews a network file's anchor when a third of its period has passed.

    Args:
        path: the file.
        trust: what it pins.
    """

    def __init__(self, path: Path, trust: Trust) -> None:
        self._path = path
        self._trust = trust
        self._failed = ""

    def moved(self, trust: Trust) -> None:
        """Hear of the anchor to which the chain was followed. A file that cannot be written is a warning, once."""
        before, now = self._trust.anchor, trust.anchor
        if before is None or now is None:
            return
        if (now.time_s - before.time_s) * REFRESH_PART < trust.trusting_period_s:
            return
        try:
            keep_anchor(self._path, trust)
        except ParaphError as error:
            if self._failed != error.code:
                log.warning("light.anchor_not_kept", code=error.code, reason=error.message)
            self._failed = error.code
            return
        self._trust = trust
        log.info("light.anchor_kept", height=now.height, file=str(self._path))


def _write(path: Path, network: Network, trust: Trust) -> None:
    anchor = network.trust.anchor
    if anchor is not None:
        save_trust(network.trust, path.with_name(f"trust-{anchor.height}.json"))
    save_network(replace(network, trust=trust), path)


def _ask(network: Network, flow: Flow[T]) -> T:
    driver = SyncDriver(Means(network.rpc_url, SystemClock().now_ms, random_bytes, witnesses=network.witnesses))
    try:
        return driver.run(reporting(flow))
    finally:
        driver.close()
