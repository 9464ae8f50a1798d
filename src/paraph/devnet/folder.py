"""A devnet's folder: where its files, keys and addresses are.

One password, in the clear beside the keys, opens all of them: they hold nothing of value.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paraph.adapters.keys.keystore import load_key
from paraph.core.keys import PrivateKey
from paraph.devnet.shape import Shape, decode_shape

INFERENCE_NODE: Final = "inference-node"
ENCLAVE_NODE: Final = "enclave-node"
"""An inference node in a simulated enclave: it serves the layer `tee`, the other the layer `signature`."""
INFERENCE_NODES: Final = (INFERENCE_NODE, ENCLAVE_NODE)


@dataclass(frozen=True, slots=True)
class Folder:
    """A devnet's folder.

    Args:
        home: the folder; absolute, because the processes are recognised by it.
    """

    home: Path

    @property
    def network_file(self) -> Path:
        """The network file for clients."""
        return self.home / "network.json"

    @property
    def trust_file(self) -> Path:
        """The trust file for offline verification."""
        return self.home / "trust.json"

    @property
    def shape_file(self) -> Path:
        """Written last when a devnet is made: a folder that has it holds a whole devnet."""
        return self.home / "devnet.json"

    @property
    def password_file(self) -> Path:
        """The password of every key."""
        return self.home / "password"

    def key_file(self, name: str) -> Path:
        """Where a key is kept."""
        return self.home / "keys" / f"{name}.json"

    def node_home(self, name: str) -> Path:
        """The home of a full node or of an inference node, by its name."""
        return self.home / name

    def port_file(self, name: str) -> Path:
        """Where that node's port is remembered."""
        return self.home / "run" / f"{name}.port"

    @property
    def made(self) -> bool:
        """True when the folder holds a devnet."""
        return self.shape_file.exists()

    def shape(self) -> Shape:
        """The shape of the devnet that is here."""
        return decode_shape(self.shape_file.read_bytes())

    def password(self) -> str:
        """What opens the keys."""
        return self.password_file.read_text()

    def key(self, name: str) -> PrivateKey:
        """One of the devnet's keys, by name."""
        return load_key(self.key_file(name), self.password())

    def port(self, name: str) -> int:
        """The port where that node is asked."""
        return int(self.port_file(name).read_text())

    def url(self, name: str) -> str:
        """The URL where that node is asked."""
        scheme = "https" if name == ENCLAVE_NODE else "http"
        return f"{scheme}://127.0.0.1:{self.port(name)}"

    @property
    def simulated_root(self) -> Path:
        """The folder of the simulated enclaves' root, and of its key, which guards nothing."""
        return self.node_home(ENCLAVE_NODE)
