"""A PostgreSQL server of the tests' own: in a temporary folder, on a Unix socket, gone afterwards.

Without the programs its tests are skipped, and say so; in CI that fails, so that nothing goes unchecked unseen.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/lib/postgresql/15/bin", "/usr/local/pgsql/bin"])
USUAL = ("-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=40")


def _program(name: str) -> str:
    found = shutil.which(name, path=PLACES)
    if found is None:
        told = f"NOT CHECKED: {name} of PostgreSQL is not installed"
        if os.environ.get("CI"):
            pytest.fail(told)
        pytest.skip(told)
    return found


class Server:
    """A server that can be stopped and started again, as one that is updated is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # The server refuses to run as root, as whom tests may run in a container.
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(folder, self._user)
        make = [
            _program("initdb"),
            "-D",
            str(folder / "data"),
            "-U",
            "paraph",
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
        ]
        subprocess.run([*make, "--locale=C"], check=True, capture_output=True, user=self._user, cwd=folder)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"postgresql:///postgres?host={self._folder}&user=paraph"

    def schema(self, name: str) -> str:
        """The address of an empty schema of that name."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return f"{self.url}&options=-csearch_path%3D{name}"

    def start(self) -> None:
        """Run, and wait until it answers."""
        command = [_program("postgres"), "-D", str(self._folder / "data"), "-k", str(self._folder), *USUAL]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, user=self._user, cwd=self._folder)
        for _ in range(600):
            try:
                psycopg.connect(self.url).close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self._folder / "log").read_text()
                time.sleep(0.05)
        pytest.fail("PostgreSQL did not start")

    def stop(self) -> None:
        """End it and all its connections. Stopping twice is stopping once."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None


@contextmanager
def postgres() -> Iterator[Server]:
    """A server while the block lasts."""
    _program("postgres")
    # A short path: a Unix socket's has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        server = Server(Path(name))
        server.start()
        try:
            yield server
        finally:
            server.stop()
