"""Effects: what a flow wants done, as values. A flow is a generator that yields them and is sent the replies.

A flow never fetches; whoever drives it does. So one flow serves synchronous and asynchronous callers, and a test
drives it through any reply, delay or failure. A driver throws an error into the flow where the effect failed.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from paraph.core.encode import Json, JsonObject
from paraph.core.ident import Digest, ModelId
from paraph.core.ohttp import Binding

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Effect(Generic[T]):
    """Something to be done; `T` is what comes back."""


Flow: TypeAlias = Generator[Effect[Any], Any, T]


def ask(effect: Effect[T]) -> Flow[T]:
    """Have an effect done. A flow writes `reply = yield from` this."""
    reply: T = yield effect
    return reply


@dataclass(frozen=True, slots=True)
class Rpc(Effect[Json]):
    """A JSON-RPC call to a full node. Nothing in the reply is believed yet.

    Raises `Rejected` with the node's words for an error reply, `Unavailable` when it cannot be reached.

    Args:
        method, params: the call.
        server: which full node: 0 the first; the others are witnesses, asked for what they hold against it.
    """

    method: str
    params: tuple[Json, ...]
    server: int = 0


@dataclass(frozen=True, slots=True)
class Witnesses(Effect[int]):
    """How many witnesses there are: full nodes beside the first, which `Rpc.server` numbers from 1."""


@dataclass(frozen=True, slots=True)
class Now(Effect[int]):
    """Unix time in milliseconds."""


@dataclass(frozen=True, slots=True)
class Draw(Effect[bytes]):
    """So many random bytes, fit for keys."""

    size: int


@dataclass(frozen=True, slots=True)
class Sign(Effect[bytes]):
    """The payer's signature (65 bytes) over a digest."""

    digest: Digest


@dataclass(frozen=True, slots=True)
class Sealing:
    """To whom a body is sealed, so that whoever carries it reads neither it nor its answer.

    Args:
        key: the node's attested key for sealing.
        binding: the network, the node and the keyset: it opens there and nowhere else.
        model_id: the model that is asked; `NO_MODEL` for none.
        relay: the base URL of who carries it, so that the node does not learn who asks; empty: straight to the node.
    """

    key: bytes
    binding: Binding
    model_id: ModelId
    relay: str = ""


@dataclass(frozen=True, slots=True)
class Post(Effect["Json"]):
    """Send JSON to a node and return its JSON reply. Raises what the node answered, or `Unavailable`.

    Args:
        url, body: where, and what.
        tls_key: who must answer: SHA-256 of the SubjectPublicKeyInfo of its TLS certificate; nothing is sent to anybody
            else. None: whoever certificate authorities know by that name.
        sealing: to whom the body is sealed; None where it goes as it is.
    """

    url: str
    body: JsonObject
    tls_key: Digest | None = None
    sealing: Sealing | None = None


@dataclass(frozen=True, slots=True)
class Get(Effect["Json"]):
    """The JSON at an address of a node. Raises what the node answered, or `Unavailable`."""

    url: str


@dataclass(frozen=True, slots=True)
class Listen(Effect[None]):
    """Send JSON to a node and keep listening to its events; read them one by one with `Hear`. Args: as `Post`."""

    url: str
    body: JsonObject
    tls_key: Digest | None = None
    sealing: Sealing | None = None


@dataclass(frozen=True, slots=True)
class Hear(Effect["Json"]):
    """The next event of what was listened to; None when the stream ended. Raises `Unavailable` when it broke."""


@dataclass(frozen=True, slots=True)
class Show(Effect[None]):
    """Show the caller a chunk of an answer that is not verified yet."""

    chunk: JsonObject


@dataclass(frozen=True, slots=True)
class Wait(Effect[None]):
    """Let so many milliseconds pass."""

    milliseconds: int
