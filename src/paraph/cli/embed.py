"""`paraph embed`: one vector for each text, verified."""

from pathlib import Path
from typing import Unpack

import click

from paraph.cli.bought import Terms, facts, finish, options_of, tell, terms_options
from paraph.cli.places import json_option, key_options, network_option, open_client
from paraph.cli.terminal import emit, say, waiting

VALUES_SHOWN = 6


@click.command()
@click.argument("model")
@click.argument("texts", nargs=-1, required=True)
@terms_options
@network_option
@key_options
@json_option
def embed(
    model: str,
    texts: tuple[str, ...],
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
    **terms: Unpack[Terms],
) -> None:
    """One vector for each of TEXTS, from a model that makes embeddings."""
    with open_client(network_file, wallet_file, password_file, devnet_key) as client:
        with waiting("asking"):
            answer = client.embed(model, texts, **options_of(terms))
        answer = finish(client, answer, terms)
    if as_json:
        emit({"embeddings": answer.embeddings, "model": model, **facts(answer, terms["save"])})
        return
    for index, vector in enumerate(answer.embeddings):
        start = ", ".join(f"{value:.4f}" for value in vector[:VALUES_SHOWN])
        say(f"{index}: {len(vector)} values [{start}{', …' if len(vector) > VALUES_SHOWN else ''}]")
    tell(answer, terms["save"])
