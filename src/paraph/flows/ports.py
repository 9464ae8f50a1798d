"""The ports: what the conversations need from the world, each a few methods and a contract.

An adapter fulfils a port; a fake fulfils it too and passes the same tests (`tests/standard`). A port's docstring says
what may be relied on: order, durability, retries, staleness; and who is hurt if what stands behind it lies.
"""

from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from paraph.core.encode import JsonObject
from paraph.core.ident import Address, Digest
from paraph.core.tensor import Tensor
from paraph.ledger.block import Applied
from paraph.ledger.tx import SignedTx
from paraph.proofs.profile import EngineProfile
from paraph.proofs.quotes.evidence import Evidence

# --- engines -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Given:
    """What a text engine puts before the model: the exact text, and its token ids where the engine has them."""

    text: str
    token_ids: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of the answer: text, the token ids it came from, log-probabilities and tool-call deltas in OpenAI's form."""

    text: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[JsonObject, ...] = ()
    tool_calls: tuple[JsonObject, ...] = ()


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of the answer: OpenAI's finish reason, and tokens in and out."""

    reason: str
    input_tokens: int
    output_tokens: int


TextEvent: TypeAlias = Given | Piece | Finish


class TextEngine(Protocol):
    """A language model, ready to answer.

    `generate` yields exactly one `Given`, then any number of `Piece`, then exactly one `Finish`. Closing the iterator
    early stops the work. The same effective request gives the same events within one profile when `bit_exact`.
    Raises `Rejected` (`engine.…`) for a request it cannot honour, before any `Piece`; `Unavailable` when it died.
    """

    @property
    def profile(self) -> EngineProfile: ...

    @property
    def parameters(self) -> frozenset[str]:
        """The names of the effective request's parameters that this engine honours."""
        ...

    @property
    def context_tokens(self) -> int: ...

    def generate(self, request: JsonObject) -> AsyncIterator[TextEvent]: ...

    def embed(self, texts: tuple[str, ...]) -> Awaitable[tuple[tuple[tuple[float, ...], ...], int]]:
        """Embeddings of `texts`, and the tokens read. Raises `Rejected` (`engine.no_embeddings`) if it has none."""
        ...

    def close(self) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A declared input or output: datatype as in the Open Inference Protocol, shape with -1 where free."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class TensorEngine(Protocol):
    """A model from tensors to tensors. Bit-exact within one profile. Raises as `TextEngine` does."""

    @property
    def profile(self) -> EngineProfile: ...

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...

    def infer(self, inputs: tuple[Tensor, ...], outputs: tuple[str, ...]) -> Awaitable[tuple[Tensor, ...]]:
        """Run the model. `outputs` names what is wanted, in order; empty means all."""
        ...

    def close(self) -> Awaitable[None]: ...


# --- enclaves ----------------------------------------------------------------------------------------------------


class Enclave(Protocol):
    """The protected part of a machine, as the program that runs inside sees it.

    `attest` has the platform sign 64 bytes, once each time it is asked; where the platform's document has places for a
    nonce and a key, they are put there too. Collateral that a verifier needs comes with it. What stands behind it and
    lies is found out by whoever verifies the evidence. Raises `Unavailable` (`enclave.…`) when the platform does not
    answer.
    """

    @property
    def platform(self) -> str:
        """As `Evidence.platform` names it."""
        ...

    def attest(self, data: bytes, nonce: Digest, key: bytes) -> Evidence: ...

    def entropy(self, size: int) -> bytes:
        """Random bytes that the machine's owner cannot know, fit for keys."""
        ...


# --- storage -----------------------------------------------------------------------------------------------------


class KeyValue(Protocol):
    """Named tables of bytes with one atomic, durable write.

    `write` returns only after the change would survive a kill or a power cut, and applies wholly or not at all.
    Reads see the last completed write. Who owns the disk can lose the data or serve an older copy; what is read is
    checked against signed roots by whoever relies on it.
    """

    def get(self, table: str, key: bytes) -> bytes | None: ...

    def items(self, table: str, first: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """The rows of `table` from key `first` on, in byte order of the keys."""
        ...

    def write(self, changes: Mapping[tuple[str, bytes], bytes | None]) -> None:
        """Put (or with None delete) rows of any tables, all in one step."""
        ...

    def close(self) -> None: ...


class Blobs(Protocol):
    """Files named by their SHA-256. `get` re-hashes what it reads; a store can lose files, never change them."""

    def put(self, data: bytes) -> bytes:
        """Keep `data`; returns its digest. Doing it twice is doing it once."""
        ...

    def path(self, digest: bytes) -> str:
        """A readable file with exactly these bytes. Raises `Unavailable` (`blobs.missing`)."""
        ...

    def has(self, digest: bytes) -> bool: ...


# --- the world ---------------------------------------------------------------------------------------------------


class Clock(Protocol):
    """What time it is. Never goes back by more than the operating system's clock does."""

    def now_ms(self) -> int:
        """Unix time in milliseconds."""
        ...


class Application(Protocol):
    """The ledger as an engine sees it: the same one under every engine.

    `check` may be called at any time and promises nothing for later. `commit` applies a decided block and returns
    only when block and state would survive a kill; after a crash `height` says what was kept.
    """

    @property
    def height(self) -> int: ...

    def check(self, raw: bytes) -> SignedTx:
        """A transaction that could be included now or, with a nonce ahead, later. Raises `Malformed`, `Rejected`."""
        ...

    def next_nonce(self, sender: Address) -> int: ...

    def commit(self, time_s: int, transactions: tuple[bytes, ...]) -> Applied:
        """Apply and keep the next block."""
        ...
