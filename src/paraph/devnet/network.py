"""A devnet, started and stopped: full nodes, two inference nodes, funded accounts, published models.

Everything is in one folder. The processes are the same programs that operators run; only the money is play money.
"""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import httpx

from paraph.adapters.comet.engine import find_binary
from paraph.core.errors import Rejected, Unavailable
from paraph.core.keys import PrivateKey
from paraph.devnet import processes
from paraph.devnet.folder import INFERENCE_NODES, Folder
from paraph.devnet.making import make
from paraph.devnet.publishing import Say, publish
from paraph.devnet.shape import SOLO, Shape
from paraph.sdk.client import Client
from paraph.sdk.network import Network, load_network

AGREEMENT_S_MAX: Final = 120
"""Until every full node shows a state that is proved: validators find each other, and catch up after a rest."""
POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Devnet:
    """A devnet in a folder.

    Args:
        home: where everything is; absolute.
    """

    home: Path

    # --- places ---

    @property
    def network_file(self) -> Path:
        """The network file for clients."""
        return self._folder.network_file

    @property
    def trust_file(self) -> Path:
        """The trust file for offline verification."""
        return self._folder.trust_file

    @property
    def made(self) -> bool:
        """True when the folder holds a devnet."""
        return self._folder.made

    @property
    def shape(self) -> Shape:
        """How many full nodes the devnet in the folder has."""
        return self._folder.shape()

    def key(self, name: str) -> PrivateKey:
        """One of its keys: of `making.PEOPLE`, of `making.ALLOCATION_BPS`, or a validator's operator `validator-N`."""
        return self._folder.key(name)

    def key_file(self, name: str) -> Path:
        """Where that key is kept."""
        return self._folder.key_file(name)

    # --- life ---

    def up(self, say: Say, shape: Shape | None = None) -> None:
        """Make the devnet if it is not there, and start what does not run.

        Args:
            say: told each step.
            shape: how many full nodes; None takes what is there, and makes a solo devnet where nothing is.

        Raises:
            Rejected: `devnet.shape`: the devnet in the folder has another shape.
            Unavailable: a process does not start, its log is named; `comet.missing`.
        """
        if self.made and shape not in (None, self.shape):
            said = f"the devnet in {self.home} has {self.shape}, and was to have {shape}"
            raise Rejected("devnet.shape", f"{said}: choose another folder, or delete it")
        shape = self.shape if self.made else shape or SOLO
        if shape.validators:
            find_binary(os.environ)
        if not self.made:
            say(f"making keys and genesis: {shape}")
            make(self._folder, shape)
        resting = [name for name in shape.full_nodes if not self._pid(name)]
        if resting:
            say(f"starting {_counted(resting)}")
            processes.start(self._folder, dict.fromkeys(resting, "paraph.full_node"))
        network = load_network(self.network_file)
        if shape.validators:
            say("waiting until they agree")
        for name in shape.full_nodes:
            self._await_state(name, network)
        publish(self._folder, network, self._folder.url(shape.full_nodes[-1]), say)
        resting = [name for name in INFERENCE_NODES if not self._pid(name)]
        if resting:
            say("starting the inference nodes, one of them in an enclave that is SIMULATED")
            processes.start(self._folder, dict.fromkeys(resting, "paraph.inference_node"))

    def down(self) -> list[str]:
        """Stop what runs, gracefully. Returns the names of what was stopped."""
        if not self.made:
            return []
        # The inference nodes first: they still settle what they have earned.
        return [*self.stop(INFERENCE_NODES), *self.stop(self.shape.full_nodes)]

    def stop(self, names: Iterable[str]) -> list[str]:
        """Stop these, gracefully; `up` starts them again. Returns those that ran."""
        return processes.stop(self._folder, names)

    def status(self) -> dict[str, object]:
        """What runs, and where."""
        return {
            name: {"running": bool(self._pid(name)), "pid": self._pid(name), "url": self._folder.url(name)}
            for name in (*self.shape.full_nodes, *INFERENCE_NODES)
        }

    # --- its parts ---

    @property
    def _folder(self) -> Folder:
        return Folder(self.home)

    def _pid(self, name: str) -> int:
        return processes.pid_of(self._folder, name)

    def _await_state(self, name: str, network: Network) -> None:
        """Wait until a full node shows a balance with its proof, which takes votes where validators agree."""
        url = self._folder.url(name)
        end = time.monotonic() + AGREEMENT_S_MAX
        with Client(replace(network, rpc_url=url, witnesses=()), self.key("user")) as client:
            while True:
                try:
                    client.balance()
                except Unavailable as error:
                    log = processes.log_file(self._folder, name)
                    failure = _failure(url)
                    if failure:
                        raise Unavailable("devnet.start", f"the {name} failed: {failure} (log: {log})") from error
                    if time.monotonic() > end:
                        said = f"the {name} shows no state after {AGREEMENT_S_MAX} s: {error.message}"
                        raise Unavailable("devnet.start", f"{said} (log: {log})") from error
                    time.sleep(POLL_S)
                else:
                    return


def _failure(url: str) -> str:
    """Why a full node takes part no more; empty while it does."""
    try:
        return str(httpx.get(f"{url}/health").json().get("failure", ""))
    except httpx.ConnectError as error:
        return f"nobody listens at {url} ({error})"
    except httpx.HTTPError:
        return ""  # busy, and still there


def _counted(names: list[str]) -> str:
    return f"the {names[0]}" if len(names) == 1 else f"{len(names)} full nodes"
