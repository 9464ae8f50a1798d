"""Manifests of NVIDIA's: the one form that is read is signed as XML says, and nothing else is read at all."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.nitro import NOW_S, Place
from tests.support.nvidia import recorded
from tests.support.rim import END, ROOT, Made, canonical, signed_info

from paraph.core.digest import sha256
from paraph.core.errors import Unverified
from paraph.proofs.quotes import nvidia, rim
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.quotes.ecdsa import p384_sha384
from paraph.proofs.quotes.rim import Reference, golden, read, verify
from paraph.proofs.quotes.roots import NVIDIA_DEVICE, NVIDIA_RIM
from paraph.proofs.quotes.x509 import read_certificate

RECORDED: Final = Path(__file__).parents[5] / "shared" / "vectors" / "attestation" / "nvidia"
here = pytest.mark.skipif(not RECORDED.exists(), reason="the recorded evidence is not here")
GOOD: Final = Made()
A, B, C = (letter * 48 for letter in (b"a", b"b", b"c"))


def reference(data: bytes, now_s: int = NOW_S) -> Reference:
    """What a manifest states."""
    return verify(read(data), ROOT.made(ROOT), now_s, p384_sha384)


def resource(**changes: str) -> Made:
    """A manifest whose first measurement has other attributes; an empty one is left out."""
    usual = {"type": "Measurement", "index": "0", "active": "True", "alternatives": "1", "size": "48"}
    made = GOOD
    for name, value in changes.items():
        old = f'{name}="{usual[name]}"'
        head, mark, tail = made.text().partition("<ns0:Resource")
        made = made.but(body=head + mark + tail.replace(f" {old}", f' {name}="{value}"' if value else "", 1))
    return made


Fault = tuple[Callable[[], bytes], str]
FAULTS: Final[Mapping[str, Fault]] = {
    "nothing": (lambda: b"", "envelope.size"),
    "too large": (lambda: bytes(65_537), "envelope.size"),
    "not ASCII": (lambda: GOOD.changed("SIMULATED", "SIMULATÉD"), "envelope.xml"),
    "no signature": ((GOOD.text() + END).encode, "envelope.xml_signature"),
    "text after it": (lambda: GOOD.made() + b"<!-- -->", "envelope.xml_signature"),
    "two signatures": (lambda: GOOD.made()[: -len(END) - 1] + GOOD.made(), "envelope.xml_signature"),
    "part of the document signed": (lambda: GOOD.changed('URI=""', 'URI="#a"'), "envelope.xml_signature"),
    "other method": (lambda: GOOD.changed("#ecdsa-sha384", "#ecdsa-sha256"), "envelope.xml_signature"),
    "another transform": (
        lambda: GOOD.changed("</ds:Transforms>", "<ds:Transform/></ds:Transforms>"),
        "envelope.xml_signature",
    ),
    "short signature": (lambda: re.sub(rb"(<ds:SignatureValue>).{4}", rb"\1", GOOD.made()), "envelope.xml_signature"),
    "three certificates": (GOOD.but(chain=GOOD.chain[:2]).made, "envelope.xml_signature"),
    "certificate that is no base64": (
        lambda: GOOD.changed("<ds:X509Certificate>M", "<ds:X509Certificate>=M"),
        "envelope.xml_signature",
    ),
    "large certificate": (
        lambda: GOOD.changed("<ds:X509Certificate>M", "<ds:X509Certificate>" + "AAAA" * 400 + "M"),
        "envelope.xml_signature",
    ),
    "declaration": (lambda: b'<?xml version="1.0"?>' + GOOD.made(), "envelope.xml"),
    "type declaration": (lambda: b"<!DOCTYPE a>" + GOOD.made(), "envelope.xml"),
    "comment": (lambda: GOOD.changed("    <ns0:Meta", "<!-- --><ns0:Meta"), "envelope.xml"),
    "entity": (lambda: GOOD.changed("GH100", "&#71;H100"), "envelope.xml"),
    "section": (lambda: GOOD.changed("    <ns0:Meta", "<![CDATA[]]><ns0:Meta"), "envelope.xml"),
    "text between": (lambda: GOOD.changed("    <ns0:Meta", "text<ns0:Meta"), "envelope.xml"),
    "tabulator between": (lambda: GOOD.changed("    <ns0:Meta", "\t<ns0:Meta"), "envelope.xml"),
    "return between": (lambda: GOOD.changed("\n    <ns0:Meta", "\r\n    <ns0:Meta"), "envelope.xml"),
    "white space before": (lambda: b" " + GOOD.made(), "envelope.xml"),
    "white space in a tag": (lambda: GOOD.changed('"1.0">', '"1.0" >'), "envelope.xml"),
    "single quotes": (lambda: GOOD.changed('edition="GPU"', "edition='GPU'"), "envelope.xml"),
    "attribute twice": (lambda: GOOD.changed('edition="GPU"', 'edition="GPU" edition="GPU"'), "envelope.xml"),
    "attribute by two prefixes": (
        lambda: GOOD.changed('edition="GPU"', 'xmlns:n="a" xmlns:m="a" n:x="" m:x=""'),
        "envelope.xml",
    ),
    "prefix without a name": (lambda: GOOD.changed('edition="GPU"', 'n:edition="GPU"'), "envelope.xml"),
    "tag's prefix without a name": (lambda: GOOD.changed("<ns0:Entity", "<n:Entity"), "envelope.xml"),
    "prefix unnamed": (lambda: GOOD.changed('edition="GPU"', 'xmlns:ns0=""'), "envelope.xml"),
    "prefix of XML's own": (lambda: GOOD.changed('edition="GPU"', 'xmlns:xml="a"'), "envelope.xml"),
    "attribute of XML's own": (lambda: GOOD.changed('edition="GPU"', 'xml:base="a"'), "envelope.xml"),
    "closed where another is open": (lambda: GOOD.changed("</ns0:Payload>", "</ns0:Meta>"), "envelope.xml"),
    "closed twice": (lambda: GOOD.changed("</ns0:Payload>", f"</ns0:Payload>{END}"), "envelope.xml"),
    "closed before it is open": (
        lambda: GOOD.changed("<SoftwareIdentity ", f"{END}<SoftwareIdentity "),
        "envelope.xml",
    ),
    "closed with an attribute": (lambda: GOOD.changed("</ns0:Payload>", '</ns0:Payload a="b">'), "envelope.xml"),
    "closed and empty": (lambda: GOOD.changed("</ns0:Payload>", "</ns0:Payload/>"), "envelope.xml"),
    "open at the end": (lambda: GOOD.changed("    </ns0:Payload>", "<SoftwareIdentity></ns0:Payload>"), "envelope.xml"),
    "never closed": (lambda: GOOD.changed("    </ns0:Payload>\n", "<SoftwareIdentity>"), "envelope.xml"),
    "two in one file": (
        lambda: GOOD.changed("    </ns0:Payload>\n", f"</ns0:Payload>{END}<SoftwareIdentity>"),
        "envelope.xml",
    ),
    "prefix named twice": (lambda: GOOD.changed('edition="GPU"', 'xmlns:n="a" xmlns:n="b"'), "envelope.xml"),
    "many tags": (GOOD.but(values=dict.fromkeys(range(253), (A,))).made, "envelope.xml"),
    "many attributes": (GOOD.but(values={0: (A,) * 60}).made, "envelope.xml"),
    "no entity": (lambda: GOOD.changed("ns0:Entity", "ns0:Person"), "envelope.manifest"),
    "of another namespace": (lambda: GOOD.changed("ns0:Entity", "ns2:Entity"), "envelope.manifest"),
    "two of what it is about": (
        lambda: GOOD.changed("    <ns0:Payload", "<ns0:Meta/><ns0:Payload"),
        "envelope.manifest",
    ),
    "measurement elsewhere": (
        lambda: GOOD.but(body=re.sub("(.*Resource.*\n)( *</ns0:Payload>\n)", r"\2\1", GOOD.text())).made(),
        "envelope.manifest",
    ),
    "no product": (lambda: GOOD.changed('product="GH100"', 'product=""'), "envelope.manifest"),
    "no version": (lambda: GOOD.changed("colloquialVersion", "version"), "envelope.manifest"),
    "index twice": (GOOD.replacing('index="1"', 'index="0"').made, "envelope.manifest"),
    "no measurements": (GOOD.but(values={}).made, "envelope.manifest"),
    "none that is active": (GOOD.but(inactive=(0, 1)).made, "envelope.manifest"),
    "index too large": (resource(index="255").made, "envelope.manifest"),
    "index that is none": (resource(index="00").made, "envelope.manifest"),
    "no digest": (GOOD.but(values={0: (), 1: (B,)}).made, "envelope.manifest"),
    "no digests stated": (resource(alternatives="0").made, "envelope.manifest"),
    "more digests than stated": (resource(alternatives="2").made, "envelope.manifest"),
    "digests without number": (resource(alternatives="").made, "envelope.manifest"),
    "many digests": (resource(alternatives="999").made, "envelope.manifest"),
    "other type": (resource(type="Image").made, "envelope.manifest"),
    "other size": (resource(size="32").made, "envelope.manifest"),
    "neither active nor not": (resource(active="true").made, "envelope.manifest"),
    "short digest": (GOOD.replacing(A.hex(), A.hex()[2:]).made, "envelope.manifest"),
    "digest that is none": (GOOD.replacing(A.hex(), "z" * 96).made, "envelope.manifest"),
    "digest without namespace": (GOOD.replacing("ns2:Hash1", "Hash1").made, "envelope.manifest"),
    "other root": (GOOD.but(chain=(Place("thief"), *GOOD.chain[1:])).made, "quote.root"),
    "other authority": (
        GOOD.but(chain=(*GOOD.chain[:2], Place("manifest.team.sim", issuer="thief"))).made,
        "quote.chain.name",
    ),
    "signer that may not sign": (GOOD.but(leaf=Place("l", authority=False, usage="nothing")).made, "quote.chain.usage"),
    "no certificate": (
        lambda: re.sub(rb"(<ds:X509Certificate>)M[^<]*", rb"\1AAAA", GOOD.made(), count=1),
        "quote.certificate",
    ),
    "digest changed": (lambda: GOOD.changed(A.hex(), B.hex()), "quote.digest"),
    "version changed": (lambda: GOOD.changed("96.00.5e.00.01", "96.00.5e.00.02"), "quote.digest"),
    "white space changed": (lambda: GOOD.changed("\n    <ns0:Meta", "\n\n    <ns0:Meta"), "quote.digest"),
    "product's prefix renamed": (lambda: GOOD.changed("ns1", "ns9"), "quote.digest"),
    "signature of another": (
        lambda: GOOD.made().replace(signature_of(GOOD), signature_of(GOOD.but(version="1"))),
        "quote.signature",
    ),
    "what is signed inherits another name": (
        lambda: GOOD.changed(' xmlns:ns2="', ' xmlns:ns3="urn:a" xmlns:ns2="').replace(
            digest_of(GOOD), digest_of(GOOD.replacing(' xmlns:ns2="', ' xmlns:ns3="urn:a" xmlns:ns2="'))
        ),
        "quote.signature",
    ),
}


def signature_of(made: Made) -> bytes:
    return made.made().partition(b"<ds:SignatureValue>")[2].partition(b"<")[0]


def digest_of(made: Made) -> bytes:
    return made.made().partition(b"<ds:DigestValue>")[2].partition(b"<")[0]


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault(name: str) -> None:
    """A manifest with one fault is refused for that."""
    make, code = FAULTS[name]

    with pytest.raises(Unverified) as caught:
        reference(make())

    assert caught.value.code == code


def test_reference() -> None:
    """A manifest states its product, its version and values, counted as a report counts."""
    found = reference(GOOD.made())

    assert (found.product, found.version) == ("GH100", "96.00.5E.00.01")
    assert found.values == {1: frozenset({A}), 2: frozenset({B, C})}
    assert [serial for _, serial in found.certificates] == [21, 22, 23]
    assert reference(GOOD.but(inactive=(1,)).made()).values == {1: frozenset({A})}


def test_certificate_with_a_signature_that_is_none() -> None:
    """A certificate whose signature is no pair of numbers is refused."""
    whole = GOOD.made()
    leaf = GOOD.certificates()[-1]
    signature = read_certificate(leaf, "it").signature
    broken = leaf.removesuffix(signature) + b"\x31" + signature[1:]
    shown = whole.partition(b"<ds:X509Certificate>")[2].partition(b"<")[0]

    with pytest.raises(Unverified) as caught:
        reference(whole.replace(shown, base64.b64encode(broken)))

    assert caught.value.code == "quote.certificate"


def test_expired() -> None:
    """The chain must hold when the manifest is looked at."""
    with pytest.raises(Unverified) as caught:
        reference(GOOD.made(), NOW_S + 10_000)

    assert caught.value.code == "quote.chain.time"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<ns0:Entity", '<ns0:Entity xmlns:ns0="http://standards.iso.org/iso/19770/-2/2015/schema.xsd"'),
        ('edition="GPU"', 'xmlns:z="urn:a" xmlns:b="urn:c" b:y="1" z:x="2" a="3"'),
        ("<ns0:Entity", '<Entity xmlns="http://standards.iso.org/iso/19770/-2/2015/schema.xsd"'),
        ('role="softwareCreator tagCreator"/>', 'role=" two  spaces "></ns0:Entity>'),
    ],
    ids=["named again", "in another order", "by the default", "not closing itself"],
)
def test_canonical_form(old: str, new: str) -> None:
    """Names and attributes in any order or repeated, and tags that close themselves or not, verify as a library's."""
    made = GOOD.replacing(old, new)
    found = read(made.made())

    assert found.digest == hashlib.sha384(canonical(made.text() + END)).digest()
    assert found.signed == signed_info(made.made().decode())


PREFIXES: Final = st.sampled_from(["", "a", "b", "ns0"])
SPACE: Final = st.sampled_from(["", "\n", "  "])


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> str:
    """A tag of any few prefixes, names of them, and attributes; others within, and white space between."""
    names = draw(st.dictionaries(PREFIXES, st.sampled_from(["urn:a", "urn:b", "urn:c"]), max_size=3))
    attributes = draw(st.dictionaries(PREFIXES, st.sampled_from(["x", "y"]), max_size=3))
    written = [f'xmlns:{prefix}="{uri}"' if prefix else f'xmlns="{uri}"' for prefix, uri in names.items()]
    written += [f'{prefix}:{local}=" v {depth}"' if prefix else f'{local}="v"' for prefix, local in attributes.items()]
    prefix = draw(PREFIXES)
    name = f"{prefix}:t" if prefix else "t"
    inner = "".join(draw(SPACE) + each for each in draw(st.lists(trees(depth - 1), max_size=2))) if depth else ""
    head = " ".join([name, *draw(st.permutations(written))])
    return f"<{head}/>" if not inner else f"<{head}>{inner}{draw(SPACE)}</{name}>"


@given(trees())
def test_canonical_form_of_any_tags(tree: str) -> None:
    """What is read here has the canonical form that a library makes of it."""
    text = f'<r xmlns:a="urn:a" xmlns:b="urn:b" xmlns:ns0="urn:c">{tree}</r>'
    try:
        found = rim._canonical(text)[0].encode()
    except Unverified:
        found = None

    try:
        expected = canonical(text)
    except SyntaxError:
        # One attribute by two prefixes.
        expected = None
    assert found == expected


@given(st.integers(0, 8 * len(GOOD.made()) - 9))
def test_any_bit(place: int) -> None:
    """No bit of a manifest before its last line's end can be turned, but in how certificates are spelt in base64."""
    whole = GOOD.made()
    turned = bytearray(whole)
    turned[place // 8] ^= 1 << place % 8
    try:
        found = reference(bytes(turned))
        spelling = read(bytes(turned)).certificates == read(whole).certificates
    except Unverified:
        found, spelling = None, False

    assert found is None or (spelling and found == reference(whole))


@given(st.binary(max_size=300), st.integers(0, 8_000))
def test_any_bytes(data: bytes, place: int) -> None:
    """Any bytes, alone or within a manifest, are refused or change nothing, and are never an error."""
    whole = GOOD.made()
    for made in (data, whole[:place] + data + whole[place:]):
        try:
            found = reference(made)
        except Unverified:
            found = None

        assert found in (None, reference(whole))


# --- golden values ---

FIRMWARE: Final = Reference("GH100", "96.00.5E.00.01", {1: frozenset({A})}, ())
DRIVER: Final = Reference("GH100", "590.12", {2: frozenset({B})}, ())


def test_golden() -> None:
    """What a device measures is what firmware and driver state together; a switch has no driver."""
    both, switch = golden(FIRMWARE, DRIVER), golden(FIRMWARE, None)

    assert (both.product, both.driver, both.vbios) == ("GH100", "590.12", "96.00.5E.00.01")
    assert both.values == {1: frozenset({A}), 2: frozenset({B})}
    assert (switch.driver, switch.values) == ("", FIRMWARE.values)


@pytest.mark.parametrize(
    "driver",
    [Reference("GB100", "590.12", {2: frozenset({B})}, ()), Reference("GH100", "590.12", {1: frozenset({A})}, ())],
    ids=["other product", "same index"],
)
def test_manifests_that_contradict(driver: Reference) -> None:
    """Manifests of two products, or that both state one measurement, are refused."""
    with pytest.raises(Unverified) as caught:
        golden(FIRMWARE, driver)

    assert caught.value.code == "quote.manifests"


# --- recorded manifests ---


def test_root() -> None:
    """The root is the one that NVIDIA publishes."""
    assert sha256(NVIDIA_RIM).hex() == "12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1"


@here
def test_recorded_manifests() -> None:
    """Manifests that NVIDIA signed verify while their signers' certificates hold; those that were changed do not."""
    then = {"1010_0200_882_96005E0001_PROD.swidtag": 1_700_000_000, "Driver_RIM_test_no_gpu.swidtag": 1_700_000_000}
    rows: dict[str, tuple[str, int]] = {}
    for path in sorted((RECORDED / "rims").iterdir()):
        now_s = then.get(path.name, 1_762_000_000)
        try:
            found = verify(read(path.read_bytes()), NVIDIA_RIM, now_s, p384_sha384)
            rows[path.name] = (found.version, len(found.values))
        except Unverified as error:
            rows[path.name] = (error.code, 0)

    assert rows == {
        "1010_0200_882_96005E0001_PROD.swidtag": ("96.00.5E.00.01", 12),
        "Driver_RIM_test_no_gpu.swidtag": ("545.00", 21),
        "NV_GPU_DRIVER_GH100_535.86.09_measurement_mismatch.xml": ("quote.digest", 0),
        "NV_GPU_DRIVER_GH100_550.144.03.xml": ("550.144.03", 21),
        # Truly signed: for one version of firmware NVIDIA published two manifests, which differ in one measurement.
        "NV_GPU_VBIOS_1010_0200_882_96005E0001_measurement_mismatch.xml": ("96.00.5E.00.01", 12),
        "incorrect_signature_driver_rim.xml": ("quote.signature", 0),
    }


@here
def test_recorded_canonical_form() -> None:
    """Of each recorded manifest the canonical forms are those of a library."""
    for path in sorted((RECORDED / "rims").iterdir()):
        text = path.read_text()
        found = read(text.encode())

        assert found.digest == hashlib.sha384(canonical(text.partition("<ds:Signature ")[0] + END)).digest()
        assert found.signed == signed_info(text)


@here
def test_recorded_device_measures_as_stated() -> None:
    """A genuine report matches its firmware's manifest in all of twelve values, and the other manifest not in one."""
    device = nvidia.read(recorded(RECORDED)["sample_attestation_data_gpu_hopperAttestationReport"])
    root = nvidia.Root(NVIDIA_DEVICE, TrustClass.HARDWARE)
    claims = nvidia.verify(device, root, device.nonce, 1_700_000_000, p384_sha384)
    matches = []
    for name in (
        "1010_0200_882_96005E0001_PROD.swidtag",
        "NV_GPU_VBIOS_1010_0200_882_96005E0001_measurement_mismatch.xml",
    ):
        values = read((RECORDED / "rims" / name).read_bytes()).values
        matches.append([index for index in values if claims.measurements[index] not in values[index]])

    assert claims.vbios == "96.00.5E.00.01"
    assert matches == [[], [10]]
