"""Addresses of this machine for tests that listen: free when given, and still free when they are used."""

import random
import socket
import sys
from typing import Final


class Loopback:
    """An address of this machine that tests elsewhere do not use, so that a port found free there stays free.

    Linux has all of 127/8; elsewhere it is 127.0.0.1, whose ports a connection of anybody's may take meanwhile.
    """

    def __init__(self) -> None:
        numbers = (random.SystemRandom().randrange(1, 255) for _ in range(3))
        self.host: Final = ".".join(map(str, (127, *numbers))) if sys.platform == "linux" else "127.0.0.1"
        self._given: set[int] = set()

    def free(self) -> str:
        """Address and port where nobody listens, never the same twice."""
        while True:
            with socket.socket() as probe:
                probe.bind((self.host, 0))
                port: int = probe.getsockname()[1]
            if port not in self._given:
                self._given.add(port)
                return f"{self.host}:{port}"
