"""A verified answer, as callers use it. One exists only for a bundle that verified."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paraph.adapters.tensors import unpack
from paraph.core.amount import Wei
from paraph.core.encode import JsonObject
from paraph.core.ident import to_hex
from paraph.core.tensor import Tensor, tensor_from_json
from paraph.proofs.attested import worth
from paraph.proofs.bundle import Bundle
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.receipt import Receipt
from paraph.proofs.verdict import Verdict, Verified
from paraph.sdk.saving import save


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that verified.

    Args:
        verified: the bundle with its verdict.
    """

    verified: Verified[Bundle]

    @property
    def bundle(self) -> Bundle:
        """Everything needed to verify it again, anywhere."""
        return self.verified.thing

    @property
    def verdict(self) -> Verdict:
        """What was checked, the four questions, and what was not checked."""
        return self.verified.verdict

    @property
    def trust(self) -> TrustClass | None:
        """How much the word of the enclave's platform is worth; None where the layer has no enclave."""
        return worth(self.bundle.chain)

    @property
    def receipt(self) -> Receipt:
        """The node's signed statement."""
        return self.bundle.answer.receipt.receipt

    @property
    def response(self) -> JsonObject:
        """The whole response, as the receipt binds it."""
        return self.bundle.answer.response

    @property
    def text(self) -> str:
        """The text of a language model's answer; empty for other kinds."""
        return str(self.response.get("text", ""))

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """Tool calls in OpenAI's form."""
        return list(self.response.get("tool_calls") or ())  # type: ignore[arg-type]

    @property
    def finish_reason(self) -> str:
        """Why the answer ended: `stop`, `length`, `tool_calls` or `cancelled`."""
        return str(self.response.get("finish_reason", ""))

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The outputs of a tensor model, by name: exact bytes."""
        listed: Any = self.response.get("outputs") or self.response.get("embeddings") or ()
        found = (tensor_from_json(each, "outputs") for each in listed)
        return {tensor.name: tensor for tensor in found}

    @property
    def outputs(self) -> dict[str, list[Any]]:
        """The outputs of a tensor model, by name, as flat lists of numbers."""
        return {name: unpack(tensor) for name, tensor in self.tensors.items()}

    @property
    def embeddings(self) -> list[list[float]]:
        """The vectors of an embeddings answer, in the order of the texts."""
        return [unpack(tensor) for tensor in self.tensors.values()]

    @property
    def price(self) -> Wei:
        """What it cost, in wei."""
        return self.receipt.price

    @property
    def request_key(self) -> str:
        """The request's key, as hex."""
        return to_hex(self.receipt.request_key)

    @property
    def settled(self) -> bool:
        """True when the bundle carries the proof of its settlement."""
        return self.bundle.chain.settled is not None

    @property
    def proven(self) -> bool:
        """True when the bundle carries the proof that the registered exact model gave this answer, which verified."""
        return self.bundle.exact is not None and self.bundle.exact.proof is not None

    def save(self, path: Path | str) -> None:
        """Write the bundle, which `paraph verify` checks with no network; readable by its owner alone.

        Raises:
            Unavailable: `file.write`; what stood at `path` is still there.
        """
        save(self.bundle.encode(), path)
