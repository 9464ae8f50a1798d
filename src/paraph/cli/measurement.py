"""`paraph measurement`: code that enclaves may run, looked at by anyone, approved and revoked by the governor."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from paraph.cli.places import json_option, key_options, network_option, open_client, open_network
from paraph.cli.terminal import emit, marked, printable, say, table, waiting
from paraph.core.errors import Malformed, Rejected
from paraph.core.ident import ZERO_DIGEST, Digest, digest_from_hex, from_hex, to_hex
from paraph.proofs.quotes.evidence import PLATFORMS

if TYPE_CHECKING:
    from paraph.flows.transact import Sent
    from paraph.proofs.records import Release

SHOWN: Final = 18
"""Letters of an id in a table."""


@click.group()
def measurement() -> None:
    """Code that enclaves may run, by what their platforms measure of it."""


@measurement.command("list")
@network_option
@json_option
def list_(network_file: Path | None, as_json: bool) -> None:
    """Every release that was ever approved; one that was revoked says so."""
    found = _releases(network_file)
    if as_json:
        emit([_facts(release_id, release) for release_id, release in found.items()])
        return
    rows = [
        (
            to_hex(release_id)[:SHOWN] + "…",
            release.platform,
            release.name,
            f"block {release.height_first}",
            f"block {release.height_last}" if release.height_last else "no",
        )
        for release_id, release in found.items()
    ]
    for line in table(rows, ("release", "platform", "name", "approved", "revoked")):
        say(line)


@measurement.command()
@click.argument("release")
@network_option
@json_option
def show(release: str, network_file: Path | None, as_json: bool) -> None:
    """What the ledger knows of RELEASE (its id, or the beginning of it)."""
    release_id, found = _one(_releases(network_file), release)
    facts = _facts(release_id, found)
    if as_json:
        emit(facts)
        return
    for name, value in facts.items():
        if isinstance(value, Mapping):
            for each, digest in value.items():
                say(printable(f"{each:12} {digest}"))
        else:
            say(printable(f"{name:12} {value}"))


@measurement.command()
@click.option("--platform", type=click.Choice(PLATFORMS), required=True, help="Which platform measured it.")
@click.option("--name", required=True, help="How people call it: a program and its version.")
@click.option("--source", required=True, help="The commit it was built from, or where to find it.")
@click.option("--measure", "measures", multiple=True, metavar="NAME=HEX", help="A measurement; repeat it.")
@click.option("--provenance", metavar="DIGEST", help="SHA-256 of a statement of how it was built.")
@network_option
@key_options
@json_option
def approve(
    platform: str,
    name: str,
    source: str,
    measures: tuple[str, ...],
    provenance: str | None,
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """Approve code: enclaves that run it may be registered from now on. Only the governor can.

    `make enclave` prints an image's measurements as this command takes them. At least what identifies the code on its
    platform must be named: nitro and simulated pcr0, pcr1, pcr2; snp measurement, policy, min_snp, min_microcode;
    tdx mr_td, rtmr1, rtmr2, td_attributes, xfam; sgx mr_enclave, mr_signer, attributes. What begins with min_ is the
    lowest security version of a part.
    """
    from paraph.ledger.rooms.measurements.calls import CONTRACT as MEASUREMENTS
    from paraph.proofs.records import release_id

    found = _measured(measures)
    digest = ZERO_DIGEST if provenance is None else digest_from_hex(provenance, "--provenance")
    names = tuple(sorted(found))
    with open_client(network_file, wallet_file, password_file, devnet_key) as client, waiting("approving"):
        values = tuple(found[each] for each in names)
        sent = client.transact(MEASUREMENTS, "approve", platform, name, names, values, source, digest)
    _told(sent, f"approved {to_hex(release_id(platform, found))}", as_json)


@measurement.command()
@click.argument("release")
@network_option
@key_options
@json_option
def revoke(
    release: str,
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """Revoke RELEASE: enclaves that run it sign nothing more. Only the governor can.

    What they signed before still settles, and verifies for good.
    """
    from paraph.ledger.rooms.measurements.calls import CONTRACT as MEASUREMENTS

    with open_client(network_file, wallet_file, password_file, devnet_key) as client, waiting("revoking"):
        found, _ = _one(client.releases(), release)
        sent = client.transact(MEASUREMENTS, "revoke", found)
    _told(sent, f"revoked {to_hex(found)}", as_json)


@measurement.command("revoke-certificate")
@click.argument("issuer")
@click.argument("serial")
@network_option
@key_options
@json_option
def revoke_certificate(
    issuer: str,
    serial: str,
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """Revoke a certificate that enclaves are vouched for with: ISSUER (its name, DER, as hex) and SERIAL (hex).

    No client speaks to an enclave under it any more; `paraph node challenge` closes one. Only the governor can.
    """
    from paraph.ledger.rooms.measurements.calls import CONTRACT as MEASUREMENTS

    named = from_hex(issuer, None, "ISSUER")
    number = int.from_bytes(from_hex(serial, None, "SERIAL"), "big")
    with open_client(network_file, wallet_file, password_file, devnet_key) as client, waiting("revoking"):
        sent = client.transact(MEASUREMENTS, "revokeCertificate", named, number)
    _told(sent, f"revoked certificate {serial}", as_json)


@measurement.command("revoke-machine")
@click.argument("platform", type=click.Choice(PLATFORMS))
@click.argument("module")
@network_option
@key_options
@json_option
def revoke_machine(
    platform: str,
    module: str,
    network_file: Path | None,
    wallet_file: Path | None,
    password_file: Path | None,
    devnet_key: str | None,
    as_json: bool,
) -> None:
    """Revoke one enclave, or all of one chip, by its PLATFORM's name of it, as `paraph node show` prints it.

    No client speaks to it any more; `paraph node challenge` closes it. Only the governor can.
    """
    from paraph.ledger.rooms.measurements.calls import CONTRACT as MEASUREMENTS

    with open_client(network_file, wallet_file, password_file, devnet_key) as client, waiting("revoking"):
        sent = client.transact(MEASUREMENTS, "revokeModule", platform, module)
    _told(sent, f"revoked {platform} {module}", as_json)


def _measured(measures: tuple[str, ...]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for text in measures:
        name, equals, value = text.partition("=")
        if not equals or name in found:
            raise click.UsageError(f"--measure is NAME=HEX, each name once; not {text[:80]!r}")
        found[name] = from_hex(value if value.startswith("0x") else "0x" + value, None, name)
    return found


def _releases(network_file: Path | None) -> "dict[Digest, Release]":
    from paraph.cli.places import find_network
    from paraph.cli.reading import ask
    from paraph.flows import registry

    network = open_network(find_network(network_file))
    return ask(network, registry.releases(network.trust))


def _one(found: "dict[Digest, Release]", named: str) -> "tuple[Digest, Release]":
    begins = named.lower().rstrip("…")
    able = [(release_id, each) for release_id, each in found.items() if to_hex(release_id).startswith(begins)]
    if not begins.startswith("0x") or len(able) > 1:
        raise Malformed("measurements.name", f"name one release by its id, with 0x: {named[:80]!a} names {len(able)}")
    if not able:
        raise Rejected("measurements.unknown", f"no release {named[:80]!a} was approved: `paraph measurement list`")
    return able[0]


def _facts(release_id: Digest, found: "Release") -> dict[str, Any]:
    return {
        "release": to_hex(release_id),
        "platform": found.platform,
        "name": found.name,
        "source": found.source,
        "provenance": to_hex(found.provenance),
        "approved": found.height_first,
        "revoked": found.height_last or None,
        "measurements": {name: value.hex() for name, value in found.stated.items()},
    }


def _told(sent: "Sent", what: str, as_json: bool) -> None:
    from paraph.cli.wallet import sent_json

    if as_json:
        emit(sent_json(sent))
    else:
        say(marked(f"✓ {what}, in block {sent.height}"))
