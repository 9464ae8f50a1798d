"""Which network and which key are meant, and what is said when none is."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tests.support.build import key_of

from paraph.adapters.keys.keystore import SCRYPT_N_LIGHT, load_key, save_key
from paraph.cli.places import find_key, find_network, home, needs, read_file, read_password
from paraph.cli.program import paraph
from paraph.core.errors import Malformed, Rejected, Unavailable
from paraph.core.keys import checksummed

OWN, OTHER, USER = key_of("own"), key_of("other"), key_of("user")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARAPH_HOME", str(tmp_path))
    for name in ("PARAPH_NETWORK", "PARAPH_WALLET", "PARAPH_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def password(folder: Path) -> Path:
    file = folder / "password"
    file.write_text("correct horse\n")
    return file


def test_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PARAPH_HOME, or a folder in the person's own."""
    given = home()
    monkeypatch.delenv("PARAPH_HOME")

    assert given == folder
    assert home() == Path.home() / ".paraph"


def test_network_in_order(folder: Path) -> None:
    """The file given comes first, then the home folder's, then the devnet's."""
    files = [folder / "devnet" / "network.json", folder / "network.json", folder / "given.json"]
    files[0].parent.mkdir()
    with pytest.raises(click.UsageError, match="paraph devnet up"):
        find_network(None)

    found = []
    for file in files:
        file.touch()
        found.append(find_network(files[2] if file is files[2] else None))

    assert found == files


def test_key_in_order(folder: Path, password: Path) -> None:
    """A devnet's key by name, the wallet given, the home folder's wallet, then the devnet's user."""
    with pytest.raises(click.UsageError, match="paraph wallet new"):
        find_key(None, password, None)
    (folder / "devnet" / "keys").mkdir(parents=True)
    (folder / "devnet" / "password").write_text("correct horse")
    save_key(folder / "devnet" / "keys" / "user.json", USER, "correct horse", scrypt_n=SCRYPT_N_LIGHT)

    last = find_key(None, None, None).address
    save_key(folder / "wallet.json", OWN, "correct horse", scrypt_n=SCRYPT_N_LIGHT)
    save_key(folder / "w.json", OTHER, "correct horse", scrypt_n=SCRYPT_N_LIGHT)
    kept = find_key(None, password, None).address
    given = find_key(folder / "w.json", password, None).address
    named = find_key(folder / "w.json", password, "user").address

    assert (last, kept, given, named) == (USER.address, OWN.address, OTHER.address, USER.address)


@pytest.mark.parametrize("name", ["nobody", "../password", "user/../user"])
def test_unknown_devnet_key(name: str, folder: Path) -> None:
    """A key that the devnet has not, or a path, is misuse."""
    with pytest.raises(click.UsageError):
        find_key(None, None, name)


def test_wrong_password(folder: Path) -> None:
    """A wrong password opens nothing."""
    save_key(folder / "wallet.json", OWN, "correct horse", scrypt_n=SCRYPT_N_LIGHT)
    wrong = folder / "wrong"
    wrong.write_text("battery staple")

    with pytest.raises(Rejected) as caught:
        find_key(None, wrong, None)

    assert caught.value.code == "keystore.password"


def test_password_of_a_file_has_no_line_end(password: Path) -> None:
    """The newline that editors add is no part of the password."""
    assert read_password(password, "password") == "correct horse"


def test_files_are_bounded(folder: Path) -> None:
    """A file larger than it may be, and one that is not there."""
    (folder / "large").write_bytes(b"12345")

    with pytest.raises(Malformed) as large:
        read_file(folder / "large", 4, "it")
    with pytest.raises(Unavailable) as missing:
        read_file(folder / "nothing", 4, "it")

    assert (large.value.code, missing.value.code) == ("cli.file_size", "cli.file")


def test_needs_names_the_extra() -> None:
    """What is missing of others is named by its extra; what is missing of ours is a fault."""
    with pytest.raises(Unavailable) as caught, needs("node"):
        import nothing_of_this_name  # type: ignore[import-not-found]  # noqa: F401
    with pytest.raises(ModuleNotFoundError), needs("node"):
        import paraph.nothing  # type: ignore[import-not-found]  # noqa: F401

    assert "paraph[node]" in caught.value.message


# --- wallets, as far as no network is needed ---------------------------------------------------------------------


def test_wallet_is_made_and_shown(folder: Path, password: Path) -> None:
    """`wallet new` writes a key file of mode 0600 that opens; `wallet show` needs no password."""
    runner = CliRunner()
    made = runner.invoke(paraph, ["wallet", "new", "--password-file", str(password)])
    seen = runner.invoke(paraph, ["wallet", "show"])

    file = folder / "wallet.json"
    key = load_key(file, "correct horse")
    assert made.exit_code == 0, made.output
    assert file.stat().st_mode & 0o777 == 0o600
    assert checksummed(key.address) in made.stdout
    assert seen.stdout == checksummed(key.address) + "\n"


def test_wallet_is_never_overwritten(folder: Path, password: Path) -> None:
    """A second `wallet new` under the same name is refused, and the first file stays."""
    save_key(folder / "wallet.json", OWN, "correct horse", scrypt_n=SCRYPT_N_LIGHT)

    result = CliRunner().invoke(paraph, ["wallet", "new", "--password-file", str(password)])

    assert result.exit_code == 2
    assert load_key(folder / "wallet.json", "correct horse").address == OWN.address


@pytest.mark.parametrize(
    ("typed", "code"), [("short\nshort\n", 2), ("long enough\nanother one\n", 130)], ids=["short", "differing"]
)
def test_wallet_password_is_asked_for(typed: str, code: int, folder: Path) -> None:
    """Without a file the password is asked for, twice; a short one is refused."""
    result = CliRunner().invoke(paraph, ["wallet", "new"], input=typed)

    assert result.exit_code == code
    assert not (folder / "wallet.json").exists()


@pytest.mark.parametrize("text", ["{}", "[]", '{"address": "zz"}', "not JSON"])
def test_wallet_that_is_none(text: str, folder: Path) -> None:
    """A file that is no wallet is malformed."""
    (folder / "wallet.json").write_text(text)

    assert CliRunner().invoke(paraph, ["wallet", "show"]).exit_code == 2
