"""`--min-trust`: what an enclave's platform must be worth before its word counts."""

import click

from paraph.proofs.quotes.claims import TrustClass

min_trust_option = click.option(
    "--min-trust",
    "min_trust",
    type=click.Choice(tuple(each.word for each in TrustClass)),
    default=TrustClass.HARDWARE.word,
    show_default=True,
    help="With the layer tee: what the enclave's platform must be worth at least.",
)
