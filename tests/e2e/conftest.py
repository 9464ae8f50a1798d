"""One devnet for all end-to-end tests of a worker: real processes, real models, play money."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from paraph.devnet.models import available
from paraph.devnet.network import Devnet


@pytest.fixture(scope="session")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """A devnet with everything up. Its folder is `devnet` in an otherwise empty one, which can be a PARAPH_HOME.

    Tests share it: they make keys and models of their own, and put back what they change.
    """
    home = tmp_path_factory.mktemp("paraph") / "devnet"
    if {model.name for model in available(home / "models")} < {"smollm2-135m-instruct", "breast-cancer"}:
        _absent("the packages of requirements/models.lock are not installed")
    found = Devnet(home)
    try:
        found.up(lambda _: None)
        yield found
    finally:
        found.down()


@pytest.fixture
def paraph_home(devnet: Devnet, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that holds the devnet, as the command line's home; nothing else of this machine is looked at."""
    for name in ("PARAPH_NETWORK", "PARAPH_WALLET", "PARAPH_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PARAPH_HOME", str(devnet.home.parent))
    return devnet.home.parent


def _absent(reason: str) -> NoReturn:
    """Without the real models a person may skip what needs them; CI may not."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
