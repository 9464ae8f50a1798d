"""`paraph chat`: one question, or a conversation, with a language model. Shown as it comes, verified at its end."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import click

from paraph.cli.bought import Terms, facts, finish, options_of, tell, terms_options
from paraph.cli.places import json_option, key_options, network_option, open_client
from paraph.cli.terminal import emit, note, printable, say, shown, waiting
from paraph.core.errors import ParaphError, Rejected, Unverified

if TYPE_CHECKING:
    from paraph.sdk.answer import Answer
    from paraph.sdk.client import Client
    from paraph.sdk.options import TextOptions

MESSAGE_BYTES_MAX = 4 * 1024 * 1024


@click.command()
@click.argument("words", nargs=-1, metavar="[MODEL] [MESSAGE]")
@click.option("--model", help="The model, by name or id; then the argument is the message.")
@click.option("--system", help="A system message, before all others.")
@click.option("--max-tokens", type=click.IntRange(1), help="Longest answer, in tokens.")
@click.option("--temperature", type=click.FloatRange(0, 2), help="0: the likeliest word, always the same.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the sampler; by default one is drawn, and signed.")
@click.option("--stop", multiple=True, help="End before this text; may be given several times.")
@terms_options
@network_option
@key_options
@json_option
def chat(
    words: tuple[str, ...],
    model: str | None,
    system: str | None,
    max_tokens: int | None,
    temperature: float | None,
    seed: int | None,
    stop: tuple[str, ...],
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
    **terms: Unpack[Terms],
) -> int:
    """Ask a language model MESSAGE, or without one hold a conversation. MESSAGE `-` is read from standard input.

    The text is shown as it comes. It is verified when it ends: without the line that says so, do not rely on it.
    """
    limit = 1 if model else 2
    if len(words) > limit:
        raise click.UsageError(f"at most {limit} words are taken here: put the message in quotes")
    message = words[-1] if len(words) == limit else None
    if message == "-":
        message = sys.stdin.read(MESSAGE_BYTES_MAX)
    asked: dict[str, Any] = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "seed": seed,
        "stop": list(stop) or None,
    }
    options: TextOptions = {**options_of(terms), **{name: value for name, value in asked.items() if value is not None}}  # type: ignore[typeddict-item]
    messages: list[dict[str, str]] = [] if system is None else [{"role": "system", "content": system}]
    with open_client(network_file, wallet_file, password_file, devnet_key) as client:
        name = model or (words[0] if words else _only_model(client))
        if message is None:
            return _converse(client, name, messages, options, terms, as_json=as_json)
        _ask(client, name, [*messages, {"role": "user", "content": message}], options, terms, as_json=as_json)
    return 0


def _only_model(client: "Client") -> str:
    names = sorted({model.name for model in client.models().values() if model.kind == "text"})
    if len(names) != 1:
        listed = ", ".join(names[:20]) or "none is registered"
        raise Rejected("cli.model", f"name a model: {listed}")
    return names[0]


def _ask(
    client: "Client",
    model: str,
    messages: list[dict[str, str]],
    options: "TextOptions",
    terms: Terms,
    *,
    as_json: bool,
) -> "Answer":
    if as_json:
        answer = finish(client, client.chat(model, messages, **options), terms)
        emit(
            {
                "text": answer.text,
                "finish_reason": answer.finish_reason,
                "usage": answer.response.get("usage"),
                "model": model,
                **facts(answer, terms["save"]),
            }
        )
        return answer
    stream = client.chat_stream(model, messages, **options)
    pieces = iter(stream)
    printed = False
    try:
        with waiting("asking"):
            piece = next(pieces, None)
        while piece is not None:
            printed = printed or bool(piece)
            click.echo(shown(piece), nl=False)
            piece = next(pieces, None)
    except Unverified as error:
        if printed:
            say()
            note("✗ NOT VERIFIED: do not rely on the text above")
        raise error from None
    finally:
        pieces.close()  # type: ignore[attr-defined]
    say()
    answer = finish(client, stream.answer, terms)
    tell(answer, terms["save"])
    return answer


def _converse(
    client: "Client",
    model: str,
    messages: list[dict[str, str]],
    options: "TextOptions",
    terms: Terms,
    *,
    as_json: bool,
) -> int:
    """Each line is a message. Only verified answers enter the history. Returns the exit code."""
    client.offer(model)  # a mistyped name is told now, not after the first question
    person = sys.stdin.isatty() and not as_json
    if person:
        note(f"{model}. An empty line or Ctrl-D ends.")
    turn, failed = 0, False
    while True:
        if person:
            click.echo("» ", nl=False)
        line = sys.stdin.readline(MESSAGE_BYTES_MAX)
        if not line.strip():
            return 1 if failed else 0
        turn += 1
        said = [*messages, {"role": "user", "content": line.rstrip("\n")}]
        try:
            answer = _ask(client, model, said, options, _numbered(terms, turn), as_json=as_json)
        except ParaphError as error:
            if not person:
                raise
            # A person reads what went wrong and may ask again; the question does not count.
            note(f"error: {printable(str(error))}")
            failed = True
        else:
            failed = False
            messages = [*said, {"role": "assistant", "content": answer.text}]


def _numbered(terms: Terms, turn: int) -> Terms:
    """The same terms, with a file of its own for each answer: `answer.json`, then `answer-2.json` and so on."""
    save = terms["save"]
    if save is None or turn == 1:
        return terms
    return {**terms, "save": save.with_name(f"{save.stem}-{turn}{save.suffix}")}
