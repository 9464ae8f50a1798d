"""The keeper of the engine: starts CometBFT as a child process, passes its log on, restarts it when it dies, stops it.

It never outlives us: the kernel ends it with us, and it ends by itself when the application's connections close.
"""

import asyncio
import fcntl
import json
import os
import re
import shutil
import sys
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import structlog

from paraph.adapters.comet import launch
from paraph.adapters.comet.home import rpc_socket
from paraph.adapters.comet.rpc import EngineRpc
from paraph.core.errors import ParaphError, Unavailable

VERSION: Final = "0.38.25"
"""What `make engine` builds."""
SUPPORTED: Final = ("0.38.", "0.39.", "0.40.")
"""The lines whose ABCI is the same. The tests run against 0.38.25 and 0.40.0, and 0.40.0 says that it is 0.39.0."""
STOP_S_MAX: Final = 20
"""From asking to killing. It closes its databases; it also survives being killed, by replaying its log."""
LOCK_S_MAX: Final = 10
"""An engine whose parent was killed takes a moment to end; longer, and somebody else runs it."""
BACKOFF_S: Final = (1, 2, 5, 10, 30, 60)
"""Pauses after one death and the next ones. A life longer than the last starts the list again."""
POLL_S: Final = 0.1
LINE_BYTES_MAX: Final = 64 * 1024
"""One line of its log; the rest of a longer one is passed over."""
CONSENSUS_STOPPED: Final = "CONSENSUS FAILURE!!!"
"""What it logs when a panic ended its part in consensus: it votes no more, and its process lives on as if it did."""
LINES_KEPT: Final = 20
"""Lines that go into the error when it does not start."""

ENVIRONMENT: Final = ("TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "GOMAXPROCS", "GOMEMLIMIT")
"""All that the engine gets of our environment: a variable beginning with CMT_ would overrule its configuration."""

_log = structlog.get_logger("paraph.engine")


def find_binary(environment: Mapping[str, str]) -> Path:
    """The engine's program: where `PARAPH_COMETBFT` says, else what `make engine` built, else on the path.

    Raises:
        Unavailable: `comet.missing`.
    """
    named = environment.get("PARAPH_COMETBFT")
    # In a checkout this file lies four folders below its root; in an installed package, below nothing of that name.
    built = Path(__file__).parents[4] / "build" / "tools" / f"cometbft-{VERSION}" / "cometbft"
    on_path = shutil.which("cometbft", path=environment.get("PATH", ""))
    for candidate in (named,) if named else (built, on_path):
        if candidate and os.access(candidate, os.X_OK) and Path(candidate).is_file():
            return Path(candidate)
    where = f"PARAPH_COMETBFT is {named}, which is no program" if named else f"there is no {built} and none on the path"
    raise Unavailable(
        "comet.missing", f"CometBFT is not there: {where}; run `make engine`, or set PARAPH_COMETBFT to its path"
    )


class Engine:
    """One engine in one home.

    Args:
        binary: as `find_binary` gives it.
        home: written by `home.write_home`; the application listens on its socket already.
    """

    def __init__(self, binary: Path, home: Path) -> None:
        self.deaths = 0
        """How often it ended unasked."""
        self.rpc = EngineRpc(rpc_socket(home))
        self._binary = binary
        self._home = home.resolve()
        self._lock: IO[bytes] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._last_lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._pump: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._ending = False

    @property
    def pid(self) -> int | None:
        """The engine's process id while it lives."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """Start it, and wait until its RPC answers.

        There is no time limit: an engine that replays a long history is at work. Cancel to give up; then `stop`.

        Raises:
            Unavailable: `comet.missing`, `comet.version`, `comet.locked`: another process runs this home.
                `comet.start`: it ended before it answered.
        """
        await self._check_version()
        await self._take_lock()
        try:
            await self._spawn()
            await self._answering()
        except Exception:
            await self.stop()
            raise
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Ask it to end, and wait; after a time, end it. Stopping twice is stopping once."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        await self._end()
        await self.rpc.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def _check_version(self) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                str(self._binary), "version", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
            )
            async with asyncio.timeout(STOP_S_MAX):
                said, _ = await process.communicate()
        except (OSError, TimeoutError) as error:
            raise Unavailable("comet.missing", f"{self._binary} cannot be run as CometBFT: {error}") from error
        version = said[:64].decode("ascii", "replace").strip().removeprefix("v")
        if not re.fullmatch(r"\d+\.\d+\.\d+.*", version) or not version.startswith(SUPPORTED):
            raise Unavailable(
                "comet.version",
                f"{self._binary} says it is {version!r}; CometBFT {VERSION} is wanted: run `make engine`",
                version=version,
            )

    async def _take_lock(self) -> None:
        # The engine inherits it, so that it is held as long as either of us lives.
        try:
            self._lock = (self._home / "engine.lock").open("ab")
        except OSError as error:
            raise Unavailable("comet.home", f"{self._home} cannot be used as an engine's home: {error}") from error
        deadline = time.monotonic() + LOCK_S_MAX
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if time.monotonic() > deadline:
                    self._lock.close()
                    self._lock = None
                    raise Unavailable(
                        "comet.locked", f"another process runs an engine in {self._home}; stop it first"
                    ) from error
                await asyncio.sleep(POLL_S)
            else:
                return

    async def _spawn(self) -> None:
        rpc_socket(self._home).unlink(missing_ok=True)  # an engine that was killed leaves its own behind
        self._last_lines.clear()
        self._ending = False
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", launch.__file__, str(os.getpid())),
            *(str(self._binary.resolve()), "start", "--home", str(self._home)),
            cwd=self._home,
            env={"HOME": str(self._home)} | {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=() if self._lock is None else (self._lock.fileno(),),
            # Not our group: an interrupt at the terminal is for us, and we stop it in order.
            start_new_session=True,
        )
        self._pump = asyncio.create_task(self._pass_on(self._process))

    async def _answering(self) -> None:
        while self.pid is not None:
            with suppress(ParaphError):
                await self.rpc.status()
                return
            await asyncio.sleep(POLL_S)
        if self._pump is not None:
            await self._pump
        code = None if self._process is None else self._process.returncode
        said = "\n".join(self._last_lines) or "nothing"
        raise Unavailable("comet.start", f"the engine ended with code {code} before it answered; it said: {said}")

    async def _keep(self) -> None:
        """Start it again whenever it ends."""
        failures = 0
        while self._process is not None:
            born = time.monotonic()
            code = await self._process.wait()
            self.deaths += 1
            if time.monotonic() - born > BACKOFF_S[-1]:
                failures = 0
            pause_s = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
            failures += 1
            _log.error("comet.engine_died", code=code, deaths=self.deaths, restart_in_s=pause_s)
            await asyncio.sleep(pause_s)
            await self._end()
            try:
                await self._spawn()
            except OSError as error:  # its program was replaced just now, say: try again
                _log.error("comet.engine_not_started", error=str(error))

    async def _end(self) -> None:
        process, pump = self._process, self._pump
        if process is not None and process.returncode is None:
            self._ending = True
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(STOP_S_MAX):
                    await process.wait()
            except TimeoutError:
                _log.error("comet.engine_killed", after_s=STOP_S_MAX)
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if pump is not None:
            await pump

    async def _pass_on(self, process: asyncio.subprocess.Process) -> None:
        """Pass each line of its log on, at its level; what is no JSON is a crash."""
        if process.stdout is None:
            return
        line = bytearray()
        while chunk := await process.stdout.read(LINE_BYTES_MAX):
            for part in chunk.splitlines(keepends=True):
                line += part[: LINE_BYTES_MAX - len(line)]
                if part.endswith(b"\n"):
                    self._pass_on_line(bytes(line))
                    line.clear()
        if line:
            self._pass_on_line(bytes(line))

    def _pass_on_line(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        self._last_lines.append(text)
        try:
            entry = json.loads(text)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict):
            _log.error("comet.engine_said", text=text)
            return
        level, message = entry.pop("level", "info"), entry.pop("_msg", "")
        entry.pop("ts", None)
        # Closing its own listeners, it reports each as an error.
        write = {"debug": _log.debug, "info": _log.info}.get(str(level), _log.info if self._ending else _log.error)
        write("comet.engine", message=message, **{f"engine_{name}": value for name, value in entry.items()})
        if message == CONSENSUS_STOPPED and self._process is not None:
            # It votes again only when it is started again, which whoever keeps it does.
            with suppress(ProcessLookupError):
                self._process.kill()
