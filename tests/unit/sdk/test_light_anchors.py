"""Anchors of network files: renewed in time, never lost, and never a file half written."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.comet import FOUR, START_S, anchor
from tests.support_ledger.world import genesis

from paraph.core.errors import Malformed, Rejected, Unavailable
from paraph.core.ident import Digest
from paraph.proofs.policy import Trust, decode_trust
from paraph.sdk.light.anchors import REFRESH_PART, Keeper, keep_anchor, pin
from paraph.sdk.network import Network, load_network, save_network, save_trust

PERIOD_S = 14 * 86_400
TRUST = replace(genesis().trust(), producers=(), anchor=anchor(), trusting_period_s=PERIOD_S)
NETWORK = Network("http://127.0.0.1:1", TRUST, ("http://127.0.0.1:2",))


def later(height: int, seconds: int) -> Trust:
    """The same trust, from a newer block."""
    return replace(TRUST, anchor=replace(anchor(FOUR, height), time_s=START_S + seconds))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    place = tmp_path / "network.json"
    save_network(NETWORK, place)
    return place


def test_written_and_read(file: Path) -> None:
    """A file is read as it was written, leaves no draft behind, and only its owner may change it."""
    assert load_network(file) == NETWORK
    assert [each.name for each in file.parent.iterdir()] == ["network.json"]
    assert stat.S_IMODE(file.stat().st_mode) & 0o022 == 0


def test_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    """Where the file is a link, what it leads to is written."""
    link = tmp_path / "link.json"
    link.symlink_to(file)

    save_network(replace(NETWORK, witnesses=()), link)

    assert link.is_symlink()
    assert load_network(file).witnesses == ()


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    """What cannot be written is unavailable, for either file."""
    with pytest.raises(Unavailable) as caught:
        save_network(NETWORK, tmp_path / "none" / "network.json")
    assert caught.value.code == "network.write"
    with pytest.raises(Unavailable):
        save_trust(TRUST, tmp_path / "none" / "trust.json")


def test_newer_anchor_is_kept_and_the_older_is_not_lost(file: Path) -> None:
    """The file has the newer anchor; the trust file of before stands beside it, for answers bought by it."""
    keep_anchor(file, later(50, 500))

    assert load_network(file) == replace(NETWORK, trust=later(50, 500))
    assert decode_trust((file.parent / "trust-1.json").read_bytes().rstrip(b"\n")) == TRUST


def test_trust_file_is_read_as_it_is_written(file: Path) -> None:
    """The file kept beside verifies answers as it is."""
    keep_anchor(file, later(50, 500))

    assert decode_trust((file.parent / "trust-1.json").read_bytes()) == TRUST


def test_older_anchor_is_not_kept(file: Path) -> None:
    """Somebody else may have refreshed the file meanwhile: the newer one wins."""
    keep_anchor(file, later(50, 500))
    keep_anchor(file, later(40, 400))

    assert load_network(file).trust == later(50, 500)


def test_other_settings_survive(file: Path) -> None:
    """What was changed in the file meanwhile stays: only the anchor is written."""
    save_network(replace(NETWORK, rpc_url="http://127.0.0.1:3"), file)

    keep_anchor(file, later(50, 500))

    assert load_network(file).rpc_url == "http://127.0.0.1:3"


def test_file_of_another_network(file: Path) -> None:
    """A file that was replaced by another network's is left alone."""
    with pytest.raises(Rejected) as caught:
        keep_anchor(file, replace(later(50, 500), genesis=Digest(bytes(32))))

    assert caught.value.code == "network.other"
    assert load_network(file) == NETWORK


def test_keeper_waits_for_a_third_of_the_period(file: Path) -> None:
    """An anchor is renewed when a third of its period has passed, and again after the next third."""
    keeper = Keeper(file, TRUST)

    keeper.moved(later(10, PERIOD_S // REFRESH_PART - 1))
    before = load_network(file).trust
    keeper.moved(later(11, PERIOD_S // REFRESH_PART))
    after = load_network(file).trust
    keeper.moved(later(12, PERIOD_S // REFRESH_PART + 1))

    assert before == TRUST
    assert after == later(11, PERIOD_S // REFRESH_PART)
    assert load_network(file).trust == after


def test_keeper_of_a_file_that_went_away(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is gone is a warning, once, and no reason to stop."""
    keeper = Keeper(file, TRUST)
    file.unlink()

    keeper.moved(later(11, PERIOD_S))
    keeper.moved(later(12, PERIOD_S))

    assert capsys.readouterr().out.count("anchor_not_kept") == 1


def test_keeper_of_a_producers_network(file: Path) -> None:
    """Where a producer signs nothing expires."""
    Keeper(file, genesis().trust()).moved(genesis().trust())

    assert load_network(file) == NETWORK


def test_nothing_to_pin_where_a_producer_signs(tmp_path: Path) -> None:
    """A solo network has no anchor."""
    place = tmp_path / "solo.json"
    save_network(Network("http://127.0.0.1:1", genesis().trust()), place)

    with pytest.raises(Rejected) as caught:
        pin(place, 1, Digest(bytes(32)))

    assert caught.value.code == "network.no_validators"


def test_nobody_answers(file: Path) -> None:
    """Without a node nothing is pinned, and the file stays."""
    with pytest.raises(Unavailable):
        pin(file, 1, Digest(bytes(32)))

    assert load_network(file) == NETWORK


@pytest.mark.parametrize("text", [b"", b"{}", b'{"format":"paraph/network/2","rpc_url":"","witnesses":[],"trust":{}}'])
def test_files_that_are_none(file: Path, text: bytes) -> None:
    """What is no network file is malformed."""
    file.write_bytes(text)

    with pytest.raises(Malformed):
        load_network(file)
