"""What `chat`, `infer` and `embed` share: the terms on which an answer is bought, and what is told of it.

Nothing here prints an answer as verified that is not an `Answer`, which exists only for a bundle that verified.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import click

from paraph.cli.layers import LAYERS
from paraph.cli.terminal import note, waiting
from paraph.cli.trust import min_trust_option
from paraph.core.amount import format_opg, parse_opg
from paraph.core.ident import to_hex
from paraph.core.keys import address_from_text, checksummed
from paraph.proofs.exactness import WORDS
from paraph.proofs.promised import promise_from_json
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.request import Layer

if TYPE_CHECKING:
    from paraph.sdk.answer import Answer
    from paraph.sdk.client import Client
    from paraph.sdk.options import Options

F = TypeVar("F", bound=Callable[..., Any])

PATIENCE_S = 60


class Terms(TypedDict):
    """The options of `terms_options`, as click passes them."""

    max_price: str | None
    layer: str
    node: str | None
    min_trust: str
    private: bool
    relay: str
    save: Path | None
    wait: bool


def terms_options(command: F) -> F:
    """`--max-price`, `--layer`, `--min-trust`, `--private`, `--relay`, `--node`, `--save`, `--wait`."""
    for option in (
        click.option("--wait", is_flag=True, help="Wait until it is settled; what is saved then proves that too."),
        click.option(
            "--save",
            type=click.Path(dir_okay=False, writable=True, path_type=Path),
            help="Save the answer with all its proofs, for `paraph verify`.",
        ),
        click.option("--node", metavar="ADDRESS", help="Ask this node; by default any that serves the model."),
        click.option("--relay", default="", metavar="URL", help="Layer tee: let this relay carry it, sealed."),
        click.option("--private", is_flag=True, help="Layer tee: seal request and answer to the enclave's own key."),
        min_trust_option,
        click.option(
            "--layer",
            type=click.Choice(tuple(LAYERS)),
            default="signature",
            show_default=True,
            help="How the answer is verified.",
        ),
        click.option(
            "--max-price",
            metavar="OPG",
            help="Pay no more than this; by default the most it can cost by the model's price.",
        ),
    ):
        command = option(command)
    return command


def options_of(terms: Terms) -> "Options":
    """The terms as the SDK takes them. Raises `Malformed` for an amount or address that is none."""
    return {
        "layer": terms["layer"],
        "max_price": None if terms["max_price"] is None else parse_opg(terms["max_price"]),
        "node": None if terms["node"] is None else address_from_text(terms["node"], "--node"),
        "min_trust": terms["min_trust"],
        "private": terms["private"],
        "relay": terms["relay"],
    }


def finish(client: "Client", answer: "Answer", terms: Terms) -> "Answer":
    """Save the answer, wait for its settlement if that is wanted, and save it again with the proof."""
    if terms["save"] is not None:
        # First of all: it is paid for, and waiting may fail.
        answer.save(terms["save"])
    if terms["wait"]:
        with waiting("waiting for the settlement"):
            answer = client.settled(answer, PATIENCE_S)
        if terms["save"] is not None:
            answer.save(terms["save"])
    return answer


def tell(answer: "Answer", save: Path | None) -> None:
    """One line on a verified answer, beside it."""
    receipt = answer.receipt
    parts = [
        f"✓ verified, layer {receipt.layer.word}{_trust(answer)}",
        f"{format_opg(answer.price)} OPG",
        f"node {checksummed(receipt.node)[:10]}…",
        "settled" if answer.settled else "not settled yet",
        *_proof(answer),
    ]
    if save is not None:
        parts.append(f"saved to {save}")
    note(" · ".join(parts))


def _trust(answer: "Answer") -> str:
    """What the enclave's platform is worth, where there is one; that it is simulated is not to be missed."""
    if answer.trust is None:
        return ""
    return " (SIMULATED, no hardware)" if answer.trust is TrustClass.SIMULATED else f" ({answer.trust.word})"


def _proof(answer: "Answer") -> list[str]:
    """What there is of the proof that was promised; nothing with layers that promise none."""
    if answer.receipt.layer is not Layer.ZK:
        return []
    part = answer.bundle.exact
    if part is not None and part.proof is not None:
        return [f"proven, {WORDS[part.proof.mode]}"]
    return [f"its proof is promised by block {promise_from_json(answer.bundle.answer.evidence).due}"]


def facts(answer: "Answer", save: Path | None) -> dict[str, Any]:
    """What JSON says of a verified answer, beside its content."""
    receipt = answer.receipt
    return {
        "verified": answer.verdict.verified,
        "trust_class": None if answer.trust is None else answer.trust.word,
        "settled": answer.settled,
        "proven": answer.proven,
        "saved": None if save is None else str(save),
        "price_wei": str(answer.price),
        "price_opg": format_opg(answer.price),
        "model_id": to_hex(receipt.model_id),
        "node": to_hex(receipt.node),
        "payer": to_hex(receipt.payer),
        "request_key": answer.request_key,
        "verdict": answer.verdict.as_json(),
    }
