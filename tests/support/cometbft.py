"""The real engine in tests: where its program is, and free ports for it.

Without the program its tests are skipped, and say so; in CI that fails, so that nothing goes unchecked unseen.
"""

import os
import socket
from pathlib import Path

import pytest

from paraph.adapters.comet.engine import find_binary
from paraph.core.errors import Unavailable


def cometbft_binary() -> Path:
    """CometBFT: by PARAPH_COMETBFT, in build/tools, or on the path."""
    try:
        return find_binary(os.environ)
    except Unavailable as error:
        if os.environ.get("CI"):
            pytest.fail(f"NOT CHECKED: {error}")
        pytest.skip(f"NOT CHECKED: {error}")


@pytest.fixture(scope="session")
def cometbft() -> Path:
    """The program, as a fixture."""
    return cometbft_binary()


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
