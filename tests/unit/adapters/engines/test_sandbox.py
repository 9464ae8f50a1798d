"""A worker's limits hold, and every way it can fail is one error and a fresh worker."""

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from paraph.adapters.engines.frames import MESSAGE_BYTES_MAX
from paraph.adapters.engines.sandbox import Sandbox
from paraph.core.encode import JsonObject
from paraph.core.errors import Malformed, ParaphError, Rejected, Unavailable

HERE = Path(__file__).parent
MEMORY = 300 * 1024 * 1024
T = TypeVar("T")


@pytest.fixture(autouse=True)
def _worker_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("SECRET_KEY", "hunter2")


def with_sandbox(work: Any, **hello: Any) -> Any:
    async def run() -> Any:
        sandbox = Sandbox("naughty_worker", memory_bytes=MEMORY, hello={"do": "hello", **hello})
        try:
            return await work(sandbox)
        finally:
            await sandbox.close()

    return asyncio.run(run())


async def failure(work: Coroutine[Any, Any, object]) -> ParaphError:
    with pytest.raises(ParaphError) as caught:
        await work
    return caught.value


def fails(deadline_s: float = 20, **header: Any) -> tuple[ParaphError, JsonObject]:
    """The error of a call, and the answer to the next one."""

    async def work(sandbox: Sandbox) -> tuple[ParaphError, JsonObject]:
        error = await failure(sandbox.call(header, deadline_s=deadline_s))
        answer, _ = await sandbox.call({"do": "echo"}, deadline_s=20)
        return error, answer

    found: tuple[ParaphError, JsonObject] = with_sandbox(work)
    return found


def test_blobs_come_back_as_they_went() -> None:
    """Large and empty blobs pass both ways unchanged."""
    blobs = (b"", os.urandom(3_000_000), b"x")

    assert with_sandbox(lambda sandbox: sandbox.call({"do": "echo"}, blobs, deadline_s=20)) == ({"echo": "echo"}, blobs)


def test_a_call_past_its_deadline_ends_the_worker() -> None:
    """The call is refused in time, and the next one has a fresh worker."""
    begun = time.monotonic()
    error, answer = fails(do="sleep", seconds=60, deadline_s=0.2)

    assert (type(error), error.code, answer) == (Rejected, "engine.time_limit", {"echo": "echo"})
    assert time.monotonic() - begun < 20


def test_memory_beyond_the_limit_is_refused() -> None:
    """The address space is bounded."""
    error, answer = fails(do="allocate", size=2 * MEMORY)

    assert (type(error), error.code, answer) == (Rejected, "engine.memory_limit", {"echo": "echo"})


def test_memory_within_the_limit_is_given() -> None:
    """A quarter of the limit is there to be used."""
    work = lambda sandbox: sandbox.call({"do": "allocate", "size": MEMORY // 4}, deadline_s=20)

    assert with_sandbox(work)[0] == {"size": MEMORY // 4}


@pytest.mark.parametrize(("deed", "status"), [("exit", "exit 3"), ("crash", "exit 1")])
def test_a_worker_that_ends_is_unavailable_once(deed: str, status: str) -> None:
    """A death is told with its status, and the next call has a fresh worker."""
    error, answer = fails(do=deed)

    assert (type(error), error.code, error.facts["status"]) == (Unavailable, "engine.died", status)
    assert answer == {"echo": "echo"}


def test_what_a_dying_worker_said_is_told() -> None:
    """The end of its diagnostics stands in the error."""
    error, _ = fails(do="crash")

    assert "ZeroDivisionError" in str(error.facts["said"])


def test_a_killed_worker_is_unavailable_once() -> None:
    """A signal from outside, such as the kernel's for memory, is a death like others."""

    async def work(sandbox: Sandbox) -> tuple[ParaphError, JsonObject]:
        await sandbox.started()
        task = asyncio.create_task(failure(sandbox.call({"do": "sleep", "seconds": 60}, deadline_s=20)))
        await asyncio.sleep(0.1)
        assert sandbox.pid is not None
        os.kill(sandbox.pid, signal.SIGKILL)
        return await task, (await sandbox.call({"do": "echo"}, deadline_s=20))[0]

    error, answer = with_sandbox(work)

    assert (error.code, error.facts["status"], answer) == ("engine.died", "SIGKILL", {"echo": "echo"})


def test_a_cancelled_call_leaves_no_answer_behind() -> None:
    """The next call does not get the answer of the one that was given up."""

    async def work(sandbox: Sandbox) -> JsonObject:
        await sandbox.started()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sandbox.call({"do": "sleep", "seconds": 0.3}, deadline_s=20), 0.1)
        await asyncio.sleep(0.3)
        return (await sandbox.call({"do": "echo"}, deadline_s=20))[0]

    assert with_sandbox(work) == {"echo": "echo"}


@pytest.mark.parametrize("deed", ["garble", "twice"])
def test_a_worker_that_breaks_the_protocol_is_ended(deed: str) -> None:
    """Its bytes are refused as malformed, and the next call has a fresh worker."""
    error, answer = fails(do=deed)

    assert isinstance(error, Malformed)
    assert answer == {"echo": "echo"}


def test_a_refusal_keeps_code_and_facts() -> None:
    """A worker's own errors arrive as they were raised."""
    error, _ = fails(do="refuse")

    assert (type(error), error.code, error.message, error.facts) == (Rejected, "test.refused", "no", {"limit": 1})


def test_a_worker_that_cannot_begin_is_told_at_every_call() -> None:
    """A refused hello leaves no half-started worker."""

    async def work(sandbox: Sandbox) -> list[str]:
        return [(await failure(sandbox.call({"do": "echo"}, deadline_s=20))).code for _ in range(2)]

    assert with_sandbox(work, refuse=True) == ["test.refused"] * 2


def test_prints_do_not_mix_with_messages() -> None:
    """A library that writes to standard output does no harm."""
    assert with_sandbox(lambda sandbox: sandbox.call({"do": "print"}, deadline_s=20))[0] == {"echo": "print"}


def test_no_secret_is_inherited() -> None:
    """The worker's environment holds what an interpreter needs and nothing of ours."""
    names = with_sandbox(lambda sandbox: sandbox.call({"do": "environment"}, deadline_s=20))[0]["names"]

    assert "SECRET_KEY" not in names
    assert set(names) <= {
        "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR", "LC_ALL", "LC_CTYPE", "MALLOC_ARENA_MAX", "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
    }  # fmt: skip


def test_large_files_cannot_be_written() -> None:
    """A worker cannot fill a disk."""
    assert with_sandbox(lambda sandbox: sandbox.call({"do": "write"}, deadline_s=20))[0] == {"errno": 27}  # EFBIG


def test_the_network_is_out_of_reach() -> None:
    """A worker cannot reach even the loopback, where the kernel lets it leave."""
    if subprocess.run(["unshare", "--user", "--net", "true"], capture_output=True).returncode != 0:
        pytest.skip("this kernel does not let a process leave the network")
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked = {"do": "connect", "port": server.getsockname()[1]}

        assert with_sandbox(lambda sandbox: sandbox.call(asked, deadline_s=20))[0] == {"errno": errno.ENETUNREACH}


def test_a_message_beyond_the_limit_is_refused_before_it_is_sent() -> None:
    """The size of a message is bounded on the way in."""
    error, _ = fails_with_blob(bytes(MESSAGE_BYTES_MAX + 1))

    assert (type(error), error.code) == (Rejected, "engine.message_size")


def fails_with_blob(blob: bytes) -> tuple[ParaphError, JsonObject]:
    async def work(sandbox: Sandbox) -> tuple[ParaphError, JsonObject]:
        error = await failure(sandbox.call({"do": "echo"}, (blob,), deadline_s=20))
        return error, (await sandbox.call({"do": "echo"}, deadline_s=20))[0]

    found: tuple[ParaphError, JsonObject] = with_sandbox(work)
    return found


def test_a_closed_sandbox_starts_nothing() -> None:
    """After close, calls are unavailable."""

    async def work(sandbox: Sandbox) -> str:
        await sandbox.close()
        return (await failure(sandbox.call({}, deadline_s=1))).code

    assert with_sandbox(work) == "engine.closed"


def test_closing_ends_the_call_on_the_way() -> None:
    """Whoever waits is told at once, and the process is gone."""

    async def work(sandbox: Sandbox) -> ParaphError:
        await sandbox.started()
        pid = sandbox.pid
        task = asyncio.create_task(failure(sandbox.call({"do": "sleep", "seconds": 60}, deadline_s=60)))
        await asyncio.sleep(0.1)
        await sandbox.close()
        assert pid is not None
        assert not alive(pid)
        return await asyncio.wait_for(task, 5)

    error = with_sandbox(work)

    assert (type(error), error.code) == (Unavailable, "engine.died")


def test_the_worker_dies_with_its_parent() -> None:
    """A killed parent leaves no worker behind, even one that is busy."""
    program = """
import asyncio
from paraph.adapters.engines.sandbox import Sandbox
async def main():
    sandbox = Sandbox("naughty_worker", memory_bytes=1 << 29, hello={"do": "hello"})
    await sandbox.started()
    print(sandbox.pid, flush=True)
    await sandbox.call({"do": "sleep", "seconds": 60}, deadline_s=60)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()

    end = time.monotonic() + 10
    while alive(worker) and time.monotonic() < end:
        time.sleep(0.01)
    assert not alive(worker)


def alive(process: int) -> bool:
    """A zombie whose reaper has not come by is dead too."""
    try:
        return ") Z" not in Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
