"""The builder of the node's image: the same inputs give the same bytes, and only locked inputs are used."""

import gzip
import hashlib
import io
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from tools.enclave import inputs
from tools.enclave.__main__ import OUT, image_of
from tools.enclave.image import CMDLINE, INIT, Kernel, compose, debian_kernel, own_kernel
from tools.enclave.inputs import DEBIAN_LOCK, WHEELS_LOCK, Locked, gather, read_lock
from tools.enclave.packages import debian_entries, modules_of, takes_devices, wheel_entries

from paraph.adapters.enclaves.archive import Kind, entries_of, file, pack
from paraph.adapters.enclaves.eif import build, measurements, read
from paraph.core.errors import Malformed, Unavailable

ROOT: Final = Path(__file__).parents[4]


def debian(*members: tuple[str, bytes | str, int], packed: str = "xz", time: int = 0) -> bytes:
    """A Debian package, by code of its own: a text is a link's target."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content, mode in members:
            info = tarfile.TarInfo(f"./{name}")
            info.mode, info.mtime, info.uid = mode, time, time
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    body = lzma.compress(data.getvalue()) if packed == "xz" else gzip.compress(data.getvalue())
    whole = b"!<arch>\n"
    for name, part in (("debian-binary", b"2.0\n"), (f"data.tar.{packed}", body)):
        whole += f"{name:<16}{time:<12}0     0     100644  {len(part):<10}`\n".encode() + part + b"\n" * (len(part) % 2)
    return whole


def wheel(files: dict[str, bytes]) -> bytes:
    """A wheel of those files."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def module(depends: str, code: bytes) -> bytes:
    return b"\x7fELF\0depends=" + depends.encode() + b"\0" + code


LINUX: Final = debian(
    ("boot/vmlinuz-6.12", b"a kernel", 0o644),
    ("boot/config-6.12", b"CONFIG_A=y\n# CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES is not set\n", 0o644),
    ("lib/modules/6.12/virtio_mmio.ko.xz", lzma.compress(module("", b"mmio")), 0o644),
    ("lib/modules/6.12/vmw_vsock_virtio_transport.ko.xz", lzma.compress(module("vsock,vmw-common", b"t")), 0o644),
    ("lib/modules/6.12/vmw-common.ko.xz", lzma.compress(module("vsock", b"common")), 0o644),
    ("lib/modules/6.12/vsock.ko", module("", b"vsock"), 0o644),
    ("lib/modules/6.12/nsm.ko.xz", lzma.compress(module("", b"nsm")), 0o644),
    ("lib/modules/6.12/sound.ko.xz", lzma.compress(module("", b"sound")), 0o644),
)
SHELL: Final = debian(("bin/busybox", b"a shell", 0o755), ("usr/share/doc/x", b"words", 0o644))
PYTHON: Final = debian(
    ("usr/bin/python3.11", b"python", 0o755),
    ("lib/x86_64-linux-gnu/libc.so.6", b"libc", 0o755),
    ("lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld.so", 0o777),
    ("usr/share/doc/x", b"words", 0o644),
)
WHEEL: Final = wheel(
    {
        "a/__init__.py": b"code",
        "a/__pycache__/__init__.pyc": b"compiled",
        "a/data": b"d",
        "x.data/purelib/p": b"p",
        "x.data/scripts/s": b"s",
    }
)


def composed(**changes: bytes) -> bytes:
    """An image of tiny inputs, as a file."""
    given = {"linux": LINUX, "shell": SHELL, "python": PYTHON, "wheel": WHEEL} | changes
    return build(compose(debian_kernel(given["linux"]), given["shell"], [given["python"]], [given["wheel"]]))


def unpacked(archive: bytes, folder: Path) -> Path:
    """What the system's own tool finds in an archive."""
    folder.mkdir()
    subprocess.run(["cpio", "-idm", "--quiet"], input=archive, cwd=folder, check=True, timeout=60)
    return folder


def test_building_twice_gives_the_same_bytes() -> None:
    """The same inputs give the same image, though their files are of another time and owner."""
    later = debian(
        ("usr/bin/python3.11", b"python", 0o755),
        ("usr/share/doc/x", b"other words", 0o600),
        ("lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld.so", 0o777),
        ("lib/x86_64-linux-gnu/libc.so.6", b"libc", 0o755),
        time=1_000,
    )

    assert composed() == composed(python=later)


def test_measurements_are_recomputed_from_the_file() -> None:
    """Whoever has the image computes what an enclave attests, by hashing alone."""
    image = composed()
    kernel, cmdline, (boot, application) = (read(image).kernel, read(image).cmdline, read(image).ramdisks)

    found = measurements(read(image))

    def once(data: bytes) -> bytes:
        return hashlib.sha384(bytes(48) + hashlib.sha384(data).digest()).digest()

    assert (kernel, cmdline) == (b"a kernel", CMDLINE)
    assert found["pcr0"] == once(kernel + cmdline + boot + application)
    assert found["pcr1"] == once(kernel + cmdline + boot)
    assert found["pcr2"] == once(application)


@pytest.mark.parametrize(
    ("change", "registers"),
    [
        ({"shell": debian(("bin/busybox", b"another", 0o755))}, {"pcr0", "pcr1"}),
        ({"python": debian(("usr/bin/python3.11", b"another", 0o755))}, {"pcr0", "pcr2"}),
        ({"wheel": wheel({"a/__init__.py": b"other"})}, {"pcr0", "pcr2"}),
    ],
)
def test_every_input_is_measured(change: dict[str, bytes], registers: set[str]) -> None:
    """Another input changes the register of the part in which it lies, and the one of all."""
    before, after = measurements(read(composed())), measurements(read(composed(**change)))

    assert {name for name in before if before[name] != after[name]} == registers


@pytest.mark.skipif(shutil.which("cpio") is None, reason="needs the program cpio")
def test_the_parts_lie_where_linux_looks(tmp_path: Path) -> None:
    """Init, drivers in the order of their needs, libraries in one folder, packages and our source."""
    boot, application = read(composed()).ramdisks

    first, second = unpacked(boot, tmp_path / "boot"), unpacked(application, tmp_path / "application")

    assert (first / "init").read_bytes() == INIT.read_bytes()
    assert os.access(first / "init", os.X_OK)
    assert sorted(each.name for each in (first / "modules").iterdir()) == [
        "00-virtio_mmio.ko",
        "01-vsock.ko",
        "02-vmw_common.ko",
        "03-vmw_vsock_virtio_transport.ko",
        "04-nsm.ko",
    ]
    assert (second / "usr/lib64/ld-linux-x86-64.so.2").readlink() == Path("/lib/x86_64-linux-gnu/ld.so")
    assert (second / "lib/x86_64-linux-gnu/libc.so.6").read_bytes() == b"libc"
    packages = second / "usr/lib/paraph"
    assert (packages / "a/data").read_bytes() == b"d"
    assert (packages / "p").read_bytes() == b"p"
    assert not list(second.rglob("doc"))
    for name in ("inference_node/__main__.py", "adapters/enclaves/boot.py", "py.typed"):
        assert (packages / "paraph" / name).read_bytes() == (ROOT / "src/paraph" / name).read_bytes()


@pytest.mark.skipif(shutil.which("cpio") is None, reason="needs the program cpio")
def test_an_image_holds_its_inputs_and_nothing_else(tmp_path: Path) -> None:
    """No key, no configuration, no model, no compiled file of this machine: the inputs' files and the source's."""
    folder = unpacked(read(composed()).ramdisks[1], tmp_path / "application")
    source = ROOT / "src" / "paraph"
    ours = {each.relative_to(source.parent) for each in source.rglob("*") if each.is_file()}

    found = {each.relative_to(folder) for each in folder.rglob("*") if not each.is_dir() or each.is_symlink()}

    libraries = Path("usr/lib/paraph")
    assert found == {
        *map(Path, ("lib", "lib64", "usr/bin/python3.11")),
        *map(Path, ("usr/lib/x86_64-linux-gnu/libc.so.6", "usr/lib64/ld-linux-x86-64.so.2")),
        *(libraries / name for name in ("a/__init__.py", "a/data", "p")),
        *(libraries / each for each in ours if "__pycache__" not in each.parts),
    }


def test_an_own_kernel_stands_in(tmp_path: Path) -> None:
    """An operator's kernel takes the place of the locked one, with its modules in their order."""
    for name in ("bzImage", "b.ko", "a.ko"):
        (tmp_path / name).write_bytes(name.encode())

    found = own_kernel(tmp_path / "bzImage", [tmp_path / "b.ko", tmp_path / "a.ko"])

    assert found == Kernel(b"bzImage", (("b", b"b.ko"), ("a", b"a.ko")))


def test_a_kernel_that_finds_no_devices_is_told_of() -> None:
    """The builder notes whether the kernel learns of its devices as AWS Nitro tells them."""
    able = debian(("boot/config-6.12", b"CONFIG_A=y\nCONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=y\n", 0o644))

    assert "--kernel" in debian_kernel(LINUX).note
    assert takes_devices(debian_entries(able))


@pytest.mark.parametrize(
    "make",
    [
        lambda: debian_entries(b"no package"),
        lambda: debian_entries(debian(packed="gz")),
        lambda: debian_kernel(SHELL),
        lambda: debian_kernel(debian(("boot/vmlinuz-1", b"", 0o644), ("boot/vmlinuz-2", b"", 0o644))),
        lambda: debian_kernel(debian(("boot/vmlinuz-1", b"", 0o644))),
        lambda: modules_of([file("a.ko", module("b", b"")), file("b.ko", module("a", b""))], ("a",)),
    ],
    ids=["no package", "another packing", "no kernel", "two kernels", "no module", "modules in a circle"],
)
def test_odd_packages_are_refused(make: Callable[[], object]) -> None:
    """A package that is not what the lock was made from stops the build."""
    with pytest.raises(Malformed) as caught:
        make()

    assert caught.value.code == "enclave_package.form"


def test_hard_links_and_links_in_wheels_are_refused() -> None:
    """What no input has is refused, not guessed at."""
    hard = io.BytesIO()
    with tarfile.open(fileobj=hard, mode="w") as archive:
        info = tarfile.TarInfo("./usr/lib/x")
        info.type, info.linkname = tarfile.LNKTYPE, "./usr/lib/y"
        archive.addfile(info)
    body = lzma.compress(hard.getvalue())
    package = b"!<arch>\n" + f"{'data.tar.xz':<16}{'0':<32}{len(body):<10}`\n".encode() + body
    linked = io.BytesIO()
    with zipfile.ZipFile(linked, "w") as wheel_file:
        member = zipfile.ZipInfo("a/link")
        member.external_attr = 0o120777 << 16
        wheel_file.writestr(member, "target")

    with pytest.raises(Malformed) as first:
        debian_entries(package)
    with pytest.raises(Malformed) as second:
        wheel_entries(linked.getvalue())

    assert first.value.code == second.value.code == "enclave_package.form"


@pytest.mark.parametrize("path", [DEBIAN_LOCK, WHEELS_LOCK], ids=lambda path: path.name)
def test_locks_name_hashes_and_no_address(path: Path) -> None:
    """Each input has one hash; no lock says where a file came from."""
    text = path.read_text()

    assert len({each.sha256 for each in read_lock(path)}) == len(read_lock(path)) > 10
    assert "://" not in text


def test_wheels_are_those_of_the_requirements() -> None:
    """A wheel in an image is one that the requirements allow: same version, same hash.

    Where they changed, `python -m tools.enclave.lock wheels` chooses again.
    """
    allowed = "".join((ROOT / "requirements" / f"{name}.lock").read_text() for name in ("base", "dev"))

    for each in read_lock(WHEELS_LOCK):
        assert f"{each.name}=={each.version} " in allowed
        assert f"--hash=sha256:{each.sha256}" in allowed


@pytest.mark.parametrize(
    "text", ["a 1\n", f"a 1 {'0' * 63}\n", f"a 1 {'G' * 64}\n", f"a 1 {'0' * 64}\na 2 {'1' * 64}\n", "a 1 x y\n"]
)
def test_odd_locks_are_refused(tmp_path: Path, text: str) -> None:
    """A line without its three parts, or an input twice, is refused."""
    (tmp_path / "x.lock").write_text(f"# a lock\n\n{text}")

    with pytest.raises(Malformed) as caught:
        read_lock(tmp_path / "x.lock")

    assert caught.value.code == "enclave_lock.form"


def test_only_what_is_locked_is_used(tmp_path: Path) -> None:
    """Inputs are found by their hash, whatever their names; one that was changed is missing, and is named."""
    (tmp_path / "any name").write_bytes(b"right")
    right = Locked("a", "1", hashlib.sha256(b"right").hexdigest())
    (tmp_path / "b_2.deb").write_bytes(b"changed")
    wrong = Locked("b", "2", hashlib.sha256(b"b").hexdigest())

    assert gather([right], tmp_path) == [b"right"]
    with pytest.raises(Unavailable) as caught:
        gather([right, wrong], tmp_path)
    assert caught.value.code == "enclave_inputs.missing"
    assert "b 2" in caught.value.message
    assert "--inputs" in caught.value.message


def test_a_machine_without_the_tools_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nothing can be fetched, the build names the inputs that a person must bring."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(inputs, "DOWNLOAD", ("pip-that-is-not-there",))

    inputs.fetch(tmp_path / "inputs")

    assert "apt-get is not on this machine" in capsys.readouterr().err
    with pytest.raises(Unavailable):
        gather(read_lock(WHEELS_LOCK), tmp_path / "inputs")


def test_the_program_says_what_is_missing(tmp_path: Path) -> None:
    """As a program, without inputs, it ends with code 1 and a sentence, and builds nothing."""
    command = [sys.executable, "-m", "tools.enclave", "--inputs", str(tmp_path), "--out", str(tmp_path / "out")]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert "[enclave_inputs.missing]" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_real_image_is_the_same_twice(tmp_path: Path) -> None:
    """Two builds from the real inputs, each in a process of its own, give the same file, which states its measurements.

    Where the inputs are neither in build/enclave/inputs nor to be fetched, it says so.
    """
    folder = ROOT / OUT / "inputs"
    inputs.fetch(folder)
    try:
        image_of(folder, None, [])
    except Unavailable as error:
        pytest.skip(error.message)
    made = []
    place = tmp_path / "paraph.eif"
    shutil.copytree(ROOT / "src", tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    # From two copies of the source: where it lies is not in the image.
    for name in ("one", "other"):
        command = [sys.executable, "-m", "tools.enclave", "--inputs", str(folder), "--out", str(tmp_path)]
        source = {**os.environ, "PYTHONPATH": str(tmp_path / name)}
        done = subprocess.run(command, cwd=ROOT, env=source, capture_output=True, text=True, timeout=300, check=True)
        made.append((hashlib.sha256(place.read_bytes()).digest(), done.stdout.split()[1:]))
    found = measurements(read(place.read_bytes()))
    place.unlink()

    assert made[0] == made[1]
    assert made[0][1] == [word for name, value in found.items() for word in (name, value.hex())]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("cpio") is None, reason="needs to be root, and cpio")
def test_the_real_image_runs_the_node(tmp_path: Path) -> None:
    """What lies in the image, and nothing else of this machine, is enough to import and start the node."""
    folder = ROOT / OUT / "inputs"
    inputs.fetch(folder)
    try:
        image, _ = image_of(folder, None, [])
    except Unavailable as error:
        pytest.skip(error.message)
    root = tmp_path / "root"
    root.mkdir()
    for archive in image.ramdisks:
        subprocess.run(["cpio", "-idm", "--quiet"], input=archive, cwd=root, check=True, timeout=60)
    python = ["/bin/busybox", "env", "-i", "PYTHONPATH=/usr/lib/paraph", "/usr/bin/python3.11", "-s", "-m"]

    done = subprocess.run(
        ["chroot", root, *python, "paraph.inference_node", "--help"], capture_output=True, text=True, timeout=120
    )
    engines = "import onnxruntime, xllamacpp, onnx, lmdb, uvloop, httptools, paraph.adapters.enclaves.open"
    loaded = subprocess.run(["chroot", root, *python[:-1], "-c", engines], capture_output=True, text=True, timeout=120)
    shutil.rmtree(root)

    assert done.returncode == 0, done.stderr
    assert "--home" in done.stdout
    assert loaded.returncode == 0, loaded.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="needs QEMU")
def test_the_real_image_boots(tmp_path: Path) -> None:
    """On a machine without an enclave's devices the image boots to our program, which says what it lacks and ends."""
    folder = ROOT / OUT / "inputs"
    inputs.fetch(folder)
    try:
        image, _ = image_of(folder, None, [])
    except Unavailable as error:
        pytest.skip(error.message)
    (tmp_path / "kernel").write_bytes(image.kernel)
    (tmp_path / "ramdisks").write_bytes(b"".join(image.ramdisks))
    machine = "qemu-system-x86_64 -M q35 -accel tcg -cpu max -m 2500 -smp 2 -nographic -no-reboot -nic none".split()

    done = subprocess.run(
        [*machine, *("-kernel", tmp_path / "kernel"), *("-initrd", tmp_path / "ramdisks"), "-append", CMDLINE],
        capture_output=True,
        timeout=300,
        check=True,
    )
    (tmp_path / "ramdisks").unlink()

    assert b"paraph boot: nobody answers on vsock:3:9000" in done.stdout


def test_entries_of_source_are_of_every_kind(tmp_path: Path) -> None:
    """A folder that is packed twice gives one archive: the image depends on no order of the disk."""
    for name in ("z", "a", "m"):
        (tmp_path / name).write_bytes(name.encode())

    assert pack(entries_of(tmp_path)) == pack(entries_of(tmp_path))
    assert {each.kind for each in entries_of(tmp_path)} == {Kind.FILE}
