"""What is always so of releases."""

from paraph.ledger.rooms.measurements.keys import RELEASES
from paraph.proofs.quotes.policy import PINNED
from paraph.proofs.records import Release, release_id


def releases_are_whole(dump: dict[bytes, bytes]) -> list[str]:
    """Every release stands under its own id, pins what its platform must pin, and says when it ended."""
    wrong = []
    for key, value in sorted(dump.items()):
        if key.startswith(RELEASES.prefix):
            found = Release.decode(value)
            name = key[len(RELEASES.prefix) :].hex()
            if key != RELEASES.prefix + release_id(found.platform, found.stated):
                wrong.append(f"release {name} stands under another id")
            if not all(any(found.measurements.get(each, b"")) for each in PINNED[found.platform]):
                wrong.append(f"release {name} pins too little")
            if bool(found.height_last) != bool(found.revoked_s):
                wrong.append(f"release {name} ended at block {found.height_last}, at {found.revoked_s} s")
    return wrong
