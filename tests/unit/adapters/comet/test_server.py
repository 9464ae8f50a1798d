"""The server against a raw client: order, threads, limits, and what a broken rule does."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.adapters.comet.keyvalue import KeyValue

from paraph.adapters.comet import abci_pb2 as pb
from paraph.adapters.comet import server as module
from paraph.adapters.comet.application import Checked, Proposed
from paraph.adapters.comet.framing import Deframer, frame
from paraph.adapters.comet.server import AbciServer
from paraph.core.errors import Malformed, Rejected, Unavailable

TIME = pb.Timestamp(seconds=1_700_000_000)
ECHO = pb.Request(echo=pb.RequestEcho(message="m"))
FLUSH = pb.Request(flush=pb.RequestFlush())
INFO = pb.Request(info=pb.RequestInfo())
COMMIT = pb.Request(commit=pb.RequestCommit())
QUERY = pb.Request(query=pb.RequestQuery(data=b"k"))


def finalize(height: int, *transactions: bytes) -> pb.Request:
    block = pb.RequestFinalizeBlock(height=height, time=TIME, proposer_address=bytes(20), txs=transactions)
    return pb.Request(finalize_block=block)


def check(raw: bytes) -> pb.Request:
    return pb.Request(check_tx=pb.RequestCheckTx(tx=raw))


class Client:
    """A connection that sends requests and reads answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._deframer = Deframer()
        self._found: list[bytes] = []

    def send(self, *requests: pb.Request) -> None:
        self.writer.write(b"".join(frame(request.SerializeToString()) for request in requests))

    async def answer(self) -> pb.Response:
        """The next answer; EOFError when the server has closed."""
        async with asyncio.timeout(10):
            while not self._found:
                try:
                    data = await self.reader.read(65_536)
                except ConnectionError:
                    data = b""
                if not data:
                    raise EOFError
                self._found += self._deframer.feed(data)
        return pb.Response.FromString(self._found.pop(0))

    async def ask(self, request: pb.Request) -> pb.Response:
        self.send(request)
        return await self.answer()

    async def closed(self) -> bool:
        with pytest.raises(EOFError):
            await self.answer()
        return True

    async def close(self) -> None:
        self.writer.close()


class Served:
    """A server of an application, on a socket in a short folder, and its clients."""

    def __init__(self, server: AbciServer, path: Path) -> None:
        self.server, self.path = server, path
        self.clients: list[Client] = []

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_unix_connection(self.path))
        self.clients.append(client)
        return client


@asynccontextmanager
async def serving(application: Any) -> AsyncIterator[Served]:
    with TemporaryDirectory(prefix="abci-") as folder:
        path = Path(folder) / "run" / "abci.sock"
        served = Served(AbciServer(application, path), path)
        await served.server.start()
        try:
            yield served
        finally:
            for client in served.clients:
                await client.close()
            await served.server.stop()


def test_answers_keep_their_order(tmp_path: Path) -> None:
    """Quick answers wait for slow ones before them; checks overlap."""

    class Slow(KeyValue):
        async def check(self, raw: bytes, again: bool) -> Checked:
            await asyncio.sleep(0.2 if raw == b"slow" else 0)
            self.calls.append(("done", raw))
            return Checked(0, raw.decode(), 0)

    async def run() -> tuple[list[str], list[tuple[str, object]]]:
        application = Slow(tmp_path)
        async with serving(application) as served:
            client = await served.connect()
            client.send(check(b"slow"), check(b"quick"), ECHO, FLUSH, INFO)
            answers = [await client.answer() for _ in range(5)]
            return [str(answer.WhichOneof("value")) for answer in answers], application.calls

    kinds, calls = asyncio.run(run())

    assert kinds == ["check_tx", "check_tx", "echo", "flush", "info"]
    assert calls == [("done", b"quick"), ("done", b"slow")]


def test_consensus_has_one_thread_and_the_loop_stays_free(tmp_path: Path) -> None:
    """While a block is applied, checks and queries are answered; calls of consensus never overlap."""
    inside = threading.Event()
    release = threading.Event()

    class Busy(KeyValue):
        def finalize(self, block: Proposed) -> Any:
            inside.set()
            assert release.wait(10)
            return super().finalize(block)

    async def run() -> tuple[Checked | None, set[str]]:
        application = Busy(tmp_path)
        async with serving(application) as served:
            consensus, pool, query = [await served.connect() for _ in range(3)]
            consensus.send(finalize(1, b"k=v"), COMMIT)
            assert await asyncio.to_thread(inside.wait, 10)
            checked = await pool.ask(check(b"a=b"))
            found = await query.ask(QUERY)
            query.send(INFO)
            release.set()
            applied, committed = await consensus.answer(), await consensus.answer()
            kept = await query.answer()
            assert found.query.code == 1
            assert (applied.finalize_block.tx_results[0].code, committed.HasField("commit")) == (0, True)
            assert kept.info.last_block_height == 1
            return Checked(checked.check_tx.code, "", 0), application.threads

    checked, threads = asyncio.run(run())

    assert checked == Checked(0, "", 0)
    assert threads == {"abci-consensus_0"}


def test_broken_rule_stops_everything(tmp_path: Path) -> None:
    """What the application raises is told on every connection, remembered, and nothing is done after it."""

    class Eager(KeyValue):
        def commit(self) -> int:
            self.calls.append(("commit", None))
            return 0

    async def run() -> tuple[list[str], str]:
        application = Eager(tmp_path, break_at=1)
        async with serving(application) as served:
            first, second = await served.connect(), await served.connect()
            await second.ask(ECHO)
            first.send(finalize(1), COMMIT)
            told = [(await client.answer()).exception.error for client in (first, second)]
            assert await first.closed()
            assert await second.closed()
            third = await served.connect()
            assert await third.closed()
            error = await served.server.broken()
            assert error is served.server.failure
            assert application.calls == [("finalize", 1)]
            return told, str(error)

    told, error = asyncio.run(run())

    assert told == ["AssertionError: a rule is broken"] * 2
    assert error == "a rule is broken"


def test_broken_rule_is_known_though_the_engine_left(tmp_path: Path) -> None:
    """A call that breaks after its connection closed is a failure all the same."""
    inside, release = threading.Event(), threading.Event()

    class Breaking(KeyValue):
        def finalize(self, block: Proposed) -> Any:
            inside.set()
            assert release.wait(10)
            raise ValueError("too late to tell")

    async def run() -> str:
        async with serving(Breaking(tmp_path)) as served:
            client = await served.connect()
            client.send(finalize(1))
            assert await asyncio.to_thread(inside.wait, 10)
            await client.close()
            await asyncio.sleep(0.05)
            release.set()
            async with asyncio.timeout(10):
                return str(await served.server.broken())

    assert asyncio.run(run()) == "too late to tell"


def test_check_that_raises_is_a_failure(tmp_path: Path) -> None:
    """The mempool's calls may not raise either."""

    class Breaking(KeyValue):
        async def check(self, raw: bytes, again: bool) -> Checked:
            return Checked(raw[1_000], "", 0)

    async def run() -> str:
        async with serving(Breaking(tmp_path)) as served:
            client = await served.connect()
            return (await client.ask(check(b"x"))).exception.error

    assert asyncio.run(run()).startswith("IndexError")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xff\xff\xff\xff",
        frame(b"\xff\xff"),
        frame(b""),
        frame(b"\xa2\x06\x00"),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-Padding: padding\r\n" * 4,
    ],
    ids=["length", "message", "nothing", "method", "http"],
)
def test_garbage_ends_its_connection_alone(tmp_path: Path, garbage: bytes) -> None:
    """Who sends garbage is told, after the answers before it, and hung up on; others notice nothing."""

    async def run() -> None:
        async with serving(KeyValue(tmp_path)) as served:
            good, bad = await served.connect(), await served.connect()
            bad.send(ECHO)
            bad.writer.write(garbage)
            assert (await bad.answer()).echo.message == "m"
            assert (await bad.answer()).exception.error
            assert await bad.closed()

            assert (await good.ask(INFO)).info.last_block_height == 0
            assert served.server.failure is None

    asyncio.run(run())


@settings(max_examples=15)
@given(st.binary(max_size=600), st.integers(0, 600))
def test_any_bytes_leave_the_server_alive(data: bytes, cut: int) -> None:
    """Arbitrary bytes, in two parts, and a hang-up: the next client is answered."""

    async def run() -> None:
        with TemporaryDirectory() as folder:
            async with serving(KeyValue(Path(folder))) as served:
                bad = await served.connect()
                bad.writer.write(data[:cut])
                await asyncio.sleep(0)
                bad.writer.write(data[cut:])
                await bad.close()
                good = await served.connect()
                assert (await good.ask(ECHO)).echo.message == "m"

    asyncio.run(run())


def test_bad_block_is_the_engines_fault(tmp_path: Path) -> None:
    """A block with a wrong field is refused before the application sees it, and the application is not blamed."""

    async def run() -> tuple[str, Exception | None, list[tuple[str, object]]]:
        application = KeyValue(tmp_path)
        async with serving(application) as served:
            client = await served.connect()
            told = (await client.ask(finalize(-1))).exception.error
            return told, served.server.failure, application.calls

    told, failure, calls = asyncio.run(run())

    assert "comet.value" in told
    assert (failure, calls) == (None, [])


def test_half_a_message_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that has begun must end in time; a connection between messages may be silent for ever."""
    monkeypatch.setattr(module, "MESSAGE_S_MAX", 0.2)

    async def run() -> float:
        async with serving(KeyValue(tmp_path)) as served:
            idle, slow = await served.connect(), await served.connect()
            began = time.monotonic()
            for byte in frame(INFO.SerializeToString() + bytes(100))[:20]:
                slow.writer.write(bytes((byte,)))
                await asyncio.sleep(0.02)
            assert await slow.closed()
            took_s = time.monotonic() - began
            assert (await idle.ask(ECHO)).HasField("echo")
            return took_s

    assert asyncio.run(run()) < 5


def test_connections_are_bounded(tmp_path: Path) -> None:
    """Beyond the limit a connection is closed at once; those before go on, and places become free."""

    async def run() -> None:
        async with serving(KeyValue(tmp_path)) as served:
            first = [await served.connect() for _ in range(module.CONNECTIONS_MAX)]
            for client in first:
                await client.ask(ECHO)
            for _ in range(100):
                extra = await served.connect()
                assert await extra.closed()
            assert (await first[0].ask(ECHO)).HasField("echo")
            await first[1].close()
            await asyncio.sleep(0.1)
            assert (await (await served.connect()).ask(ECHO)).HasField("echo")

    asyncio.run(run())


def test_requests_in_flight_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit nothing is begun until answers go out, and none is lost."""
    monkeypatch.setattr(module, "IN_FLIGHT_MAX", 8)

    class Counting(KeyValue):
        now = most = 0

        async def check(self, raw: bytes, again: bool) -> Checked:
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.001)
            self.now -= 1
            return Checked(0, raw.decode(), 0)

    async def run() -> tuple[list[str], int]:
        application = Counting(tmp_path)
        async with serving(application) as served:
            client = await served.connect()
            client.send(*(check(b"%d" % number) for number in range(200)))
            answers = [(await client.answer()).check_tx.log for _ in range(200)]
            return answers, application.most

    answers, most = asyncio.run(run())

    assert answers == [str(number) for number in range(200)]
    assert 1 < most <= 9


def test_bytes_in_flight_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few large requests wait for each other as many small ones do."""
    monkeypatch.setattr(module, "IN_FLIGHT_BYTES_MAX", 1_500)

    async def run() -> int:
        application = KeyValue(tmp_path)
        async with serving(application) as served:
            client = await served.connect()
            client.send(*(check(b"%d=" % number + bytes(1_000)) for number in range(20)))
            for _ in range(20):
                assert (await client.answer()).check_tx.code == 0
            return len(application.calls)

    assert asyncio.run(run()) == 20


def test_one_engine_drives(tmp_path: Path) -> None:
    """A second connection that would decide blocks is refused while the first is there, and taken after it."""

    async def run() -> None:
        async with serving(KeyValue(tmp_path)) as served:
            first, second = await served.connect(), await served.connect()
            await first.ask(finalize(1))
            assert "comet.two_engines" in (await second.ask(COMMIT)).exception.error
            await first.close()
            await asyncio.sleep(0.05)
            third = await served.connect()
            assert (await third.ask(COMMIT)).HasField("commit")

    asyncio.run(run())


def test_socket_is_ours_alone(tmp_path: Path) -> None:
    """The socket has mode 0600 in a folder of mode 0700, and is gone after the end."""

    async def run() -> Path:
        async with serving(KeyValue(tmp_path)) as served:
            assert served.path.stat().st_mode & 0o777 == 0o600
            assert served.path.parent.stat().st_mode & 0o777 == 0o700
            await served.server.stop()
            assert not served.path.exists()
            return served.path

    asyncio.run(run())


def test_socket_of_another_server_is_left_alone(tmp_path: Path) -> None:
    """A second server on a path is refused, and the first goes on; what a dead one left is replaced."""

    async def run() -> None:
        async with serving(KeyValue(tmp_path)) as served:
            with pytest.raises(Unavailable) as caught:
                await AbciServer(KeyValue(tmp_path), served.path).start()
            assert caught.value.code == "comet.socket"
            assert (await (await served.connect()).ask(ECHO)).HasField("echo")

            left = served.path.with_name("left.sock")
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(str(left))
            again = AbciServer(KeyValue(tmp_path), left)
            await again.start()
            await again.stop()

    asyncio.run(run())


def test_folder_that_others_enter_is_refused() -> None:
    """A socket in a folder that others may enter is not opened."""
    with TemporaryDirectory(prefix="abci-") as folder:
        Path(folder).chmod(0o755)
        with pytest.raises(Rejected) as caught:
            asyncio.run(AbciServer(KeyValue(Path(folder)), Path(folder) / "abci.sock").start())

    assert caught.value.code == "comet.socket_folder"


def test_path_has_its_limit(tmp_path: Path) -> None:
    """A path that no socket can have is refused with a sentence, not by the system."""
    with pytest.raises(Malformed) as caught:
        asyncio.run(AbciServer(KeyValue(tmp_path), tmp_path / ("x" * 100) / "abci.sock").start())

    assert caught.value.code == "comet.socket_path"


def test_uvloop_serves_too(tmp_path: Path) -> None:
    """The same server runs on uvloop, as the houses do."""
    uvloop = pytest.importorskip("uvloop")

    async def run() -> bool:
        async with serving(KeyValue(tmp_path)) as served:
            client = await served.connect()
            client.send(*(check(b"%d=" % number) for number in range(300)), INFO)
            answers = [await client.answer() for _ in range(301)]
            return answers[-1].HasField("info")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(run())
