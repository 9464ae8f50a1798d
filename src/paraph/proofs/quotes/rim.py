"""NVIDIA's reference integrity manifests (RIM): what its devices measure when they run what it published, signed by it.

A manifest is a SWID tag (ISO/IEC 19770-2) with an enveloped XML signature over its canonical form (C14N 1.1). XML in
full is no format for untrusted bytes: this reads the one form that NVIDIA publishes, of plain tags in ASCII without
entities, comments, declarations or prolog, and refuses all else. What is hashed and what is read are the same tags, so
that nothing can be signed as one thing and read as another.

A manifest's signer has a certificate of two years; devices run its firmware for longer. So a manifest is verified once,
when its values are approved, and the values stand until they are revoked.
"""

import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha384
from typing import Final

from paraph.core.errors import Malformed
from paraph.proofs.quotes.claims import refuse
from paraph.proofs.quotes.ecdsa import Signed, raw_signature
from paraph.proofs.quotes.nvidia import MEASUREMENT_BYTES, Golden
from paraph.proofs.quotes.x509 import ECDSA_SHA384, P384, certificate_of, check_path

MANIFEST_BYTES_MAX: Final = 64 * 1_024
"""Real ones have 21 kilobytes."""
TAGS_MAX: Final = 256
ATTRIBUTES_MAX: Final = 64
"""Of one tag. A measurement has as many digests as there are boards that differ in it."""
CERTIFICATES: Final = 4
CERTIFICATE_BYTES_MAX: Final = 1_024
INDEX_MAX: Final = 254

SWID: Final = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
DIGEST: Final = "http://www.w3.org/2001/04/xmlenc#sha384"
SIGNATURE: Final = "http://www.w3.org/2000/09/xmldsig#"

_END: Final = "</SoftwareIdentity>"
_NAME: Final = r"(?:[A-Za-z][A-Za-z0-9]*:)?[A-Za-z][A-Za-z0-9]*"
_TAG: Final = re.compile(rf'<(/?)({_NAME})((?: {_NAME}="[^"<>&\n]*")*)(/?)>')
_ATTRIBUTE: Final = re.compile(rf' ({_NAME})="([^"]*)"')
_SPACE: Final = re.compile(r"[ \n]+")
_BASE64: Final = r"([A-Za-z0-9+/=\n]+)"
_METHODS: Final = (
    '<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2006/12/xml-c14n11"/>'
    '<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"/>'
    '<ds:Reference URI=""><ds:Transforms>'
    '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>'
    '<ds:Transform Algorithm="http://www.w3.org/2006/12/xml-c14n11"/></ds:Transforms>'
    '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#sha384"/><ds:DigestValue>'
)
_SIGNED_END: Final = "</ds:DigestValue></ds:Reference></ds:SignedInfo>"
_BEGIN_SIGNATURE: Final = f'<ds:Signature xmlns:ds="{SIGNATURE}">'
_SIGNATURE: Final = re.compile(
    re.escape(f"{_BEGIN_SIGNATURE}<ds:SignedInfo>{_METHODS}")
    + r"([A-Za-z0-9+/]{64})"
    + re.escape(f"{_SIGNED_END}<ds:SignatureValue>")
    + r"([A-Za-z0-9+/]{128})"
    + re.escape("</ds:SignatureValue><ds:KeyInfo><ds:X509Data>")
    + f"(?:<ds:X509Certificate>{_BASE64}</ds:X509Certificate>)" * CERTIFICATES
    + re.escape(f"</ds:X509Data></ds:KeyInfo></ds:Signature>{_END}")
    + r"\n*"
)


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag: its name and attributes as `{namespace}local`, or the local name alone where there is none."""

    depth: int
    name: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest, read and not yet believed.

    Args:
        product: the chip: `GH100`.
        version: of the driver or of the firmware, upper-case.
        values: by the index of a measurement in a report, from 1, each digest that is right there.
        digest: of the canonical form of all but the signature.
        stated: what it is by the signature's word.
        signed: what the signature is over.
        signature: as r ‖ s.
        certificates: as DER, root first.
    """

    product: str
    version: str
    values: Mapping[int, frozenset[bytes]]
    digest: bytes
    stated: bytes
    signed: bytes
    signature: bytes
    certificates: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """What NVIDIA states of a driver or of firmware; fields as in `Manifest`.

    Args:
        certificates: issuer (DER) and serial number of each certificate below the root, for revocation.
    """

    product: str
    version: str
    values: Mapping[int, frozenset[bytes]]
    certificates: tuple[tuple[bytes, int], ...]


def read(data: bytes) -> Manifest:
    """Read a manifest from a stranger.

    Raises:
        Unverified: `envelope.size`, `envelope.xml`: not of the form that is read here; `envelope.xml_signature`;
            `envelope.manifest`: of another kind, or with measurements that are none.
    """
    if not 0 < len(data) <= MANIFEST_BYTES_MAX:
        refuse("envelope.size", f"a manifest has 1 to {MANIFEST_BYTES_MAX} bytes, not {len(data)}")
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        refuse("envelope.xml", "a manifest is ASCII")
    body, mark, rest = text.partition(_BEGIN_SIGNATURE)
    found = _SIGNATURE.fullmatch(mark + rest)
    if found is None:
        refuse("envelope.xml_signature", "a manifest ends with a signature of the one form that NVIDIA makes")
    digest, signature, *chain = found.groups()
    canonical, tags, namespaces = _canonical(body + _END)
    product, version, values = _said(tags)
    return Manifest(
        product,
        version,
        values,
        sha384(canonical.encode()).digest(),
        b64decode(digest),
        _signed_info(digest, namespaces).encode(),
        b64decode(signature),
        tuple(_certificate(each) for each in reversed(chain)),
    )


def _certificate(text: str) -> bytes:
    try:
        found = b64decode(text.replace("\n", ""), validate=True)
    except NotBase64:
        refuse("envelope.xml_signature", "a manifest's certificate is no base64")
    if len(found) > CERTIFICATE_BYTES_MAX:
        refuse("envelope.xml_signature", f"a manifest's certificate has at most {CERTIFICATE_BYTES_MAX} bytes")
    return found


def _signed_info(digest: str, namespaces: Mapping[str, str]) -> str:
    """The canonical form of what the signature is over: it inherits the namespaces around it; no tag closes itself."""
    spread = re.sub(r"<(ds:\w+)( [^<>]*)/>", r"<\1\2></\1>", _METHODS)
    return f"<ds:SignedInfo{_declarations({**namespaces, 'ds': SIGNATURE})}>{spread}{digest}{_SIGNED_END}"


@dataclass(frozen=True, slots=True)
class _Open:
    """A tag that is open: its name as written, and the namespaces in force within it, by prefix."""

    name: str
    namespaces: Mapping[str, str]


def _canonical(text: str) -> tuple[str, list[Tag], Mapping[str, str]]:
    """The canonical form (C14N 1.1) of one tag, all within it and white space between; the tags; its namespaces."""
    out: list[str] = []
    tags: list[Tag] = []
    stack: list[_Open] = []
    outermost: Mapping[str, str] = {}
    at = 0
    while at < len(text):
        found = _TAG.match(text, at)
        if found is None or (tags and not stack) or len(tags) == TAGS_MAX:
            refuse("envelope.xml", f"a manifest is at most {TAGS_MAX} plain tags, all within one")
        slash, name, written, empty = found.groups()
        if slash:
            if written or empty or not stack or stack.pop().name != name:
                refuse("envelope.xml", f"the tag {name[:40]!a} is closed where another is open")
            out.append(f"</{name}>")
        else:
            around = stack[-1].namespaces if stack else {}
            tag, head, within = _opened(len(stack), name, written, around)
            tags.append(tag)
            out.append(f"<{name}{head}></{name}>" if empty else f"<{name}{head}>")
            outermost = within if len(tags) == 1 else outermost
            if not empty:
                stack.append(_Open(name, within))
        at = found.end()
        if stack:
            gap = _SPACE.match(text, at)
            out.append(gap[0] if gap else "")
            at = gap.end() if gap else at
    if stack:
        refuse("envelope.xml", "a manifest ends before its tags are closed")
    return "".join(out), tags, outermost


def _opened(depth: int, name: str, written: str, around: Mapping[str, str]) -> tuple[Tag, str, Mapping[str, str]]:
    """A tag; what stands in it in canonical form, namespaces first; and the namespaces within it."""
    pairs = _ATTRIBUTE.findall(written)
    if len(pairs) > ATTRIBUTES_MAX or len({key for key, _ in pairs}) != len(pairs):
        refuse("envelope.xml", f"a tag has at most {ATTRIBUTES_MAX} attributes, each once")
    declared = {key.removeprefix("xmlns").removeprefix(":"): uri for key, uri in pairs if _is_declaration(key)}
    if not all(declared.values()) or any(prefix.startswith("xml") for prefix in declared):
        refuse("envelope.xml", "a manifest gives each prefix a name, and none to those that XML keeps")
    within = {**around, **declared}
    attributes: dict[str, str] = {}
    order: list[tuple[str, str, str]] = []
    for key, value in pairs:
        if _is_declaration(key):
            continue
        prefix, colon, local = key.rpartition(":")
        # An attribute without prefix is in no namespace, whatever the default.
        uri = _namespace(prefix, within) if colon else ""
        attributes[_expanded(uri, local)] = value
        order.append((uri, local, f' {key}="{value}"'))
    if len(attributes) != len(order):
        refuse("envelope.xml", "a tag has one attribute by two prefixes")
    prefix, _, local = name.rpartition(":")
    uri = _namespace(prefix, within) if prefix or "" in within else ""
    fresh = {prefix: uri for prefix, uri in declared.items() if around.get(prefix) != uri}
    head = _declarations(fresh) + "".join(each for _, _, each in sorted(order))
    return Tag(depth, _expanded(uri, local), attributes), head, within


def _is_declaration(key: str) -> bool:
    return key == "xmlns" or key.startswith("xmlns:")


def _namespace(prefix: str, namespaces: Mapping[str, str]) -> str:
    found = namespaces.get(prefix)
    if found is None:
        refuse("envelope.xml", f"the prefix {prefix[:40]!a} has no name")
    return found


def _expanded(uri: str, local: str) -> str:
    return f"{{{uri}}}{local}" if uri else local


def _declarations(namespaces: Mapping[str, str]) -> str:
    """Declarations in canonical order: the default first, then by prefix."""
    names = {prefix: f"xmlns:{prefix}" if prefix else "xmlns" for prefix in namespaces}
    return "".join(f' {names[prefix]}="{namespaces[prefix]}"' for prefix in sorted(namespaces))


def _said(tags: Sequence[Tag]) -> tuple[str, str, dict[int, frozenset[bytes]]]:
    """The product, the version and the values that a manifest's tags state."""
    resource = f"{{{SWID}}}Resource"
    outline = [(tag.depth, tag.name) for tag in tags if tag.name != resource]
    if outline != _OUTLINE or any(tag.depth != 2 for tag in tags[len(_OUTLINE) :]):
        refuse("envelope.manifest", "a manifest has an entity, what it is about, and measurements, in this order")
    product, version = (tags[2].attributes.get(name, "") for name in ("product", "colloquialVersion"))
    if not product or not version:
        refuse("envelope.manifest", "a manifest names a product and a version")
    values: dict[int, frozenset[bytes]] = {}
    seen: set[int] = set()
    for tag in tags[len(_OUTLINE) :]:
        index, digests = _measurement(tag)
        if index in seen:
            refuse("envelope.manifest", f"the manifest states measurement {index} twice")
        seen.add(index)
        if digests:
            # A manifest counts from 0, a report from 1.
            values[index + 1] = digests
    if not values:
        refuse("envelope.manifest", "a manifest states at least one measurement")
    return product, version.upper(), values


_OUTLINE: Final = [
    (depth, f"{{{SWID}}}{name}")
    for depth, name in ((0, "SoftwareIdentity"), (1, "Entity"), (1, "Meta"), (1, "Payload"))
]


def _measurement(tag: Tag) -> tuple[int, frozenset[bytes]]:
    """Its index, and the digests that are right there; none where it is not active."""
    said = tag.attributes
    index, alternatives = (said.get(name, "") for name in ("index", "alternatives"))
    if not all(_NUMBER.fullmatch(each) for each in (index, alternatives)) or int(index) > INDEX_MAX:
        refuse("envelope.manifest", f"a measurement has an index of at most {INDEX_MAX} and a number of digests")
    digests = {f"{{{DIGEST}}}Hash{place}" for place in range(min(int(alternatives), ATTRIBUTES_MAX))}
    if not digests or said.keys() != digests | {"type", "index", "active", "alternatives", "name", "size"}:
        refuse("envelope.manifest", f"the measurement {index} has other digests than it says, or something unknown")
    if (said["type"], said["size"]) != ("Measurement", str(MEASUREMENT_BYTES)) or said["active"] not in _ACTIVE:
        refuse("envelope.manifest", f"the measurement {index} is of another kind")
    if not all(_HEX.fullmatch(said[name]) for name in sorted(digests)):
        refuse("envelope.manifest", f"the measurement {index} has a digest that is none")
    found = frozenset(bytes.fromhex(said[name]) for name in sorted(digests))
    return int(index), found if _ACTIVE[said["active"]] else frozenset()


_ACTIVE: Final = {"True": True, "False": False}
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,2}")
_HEX: Final = re.compile(r"[0-9a-fA-F]{96}")


def verify(manifest: Manifest, root: bytes, now_s: int, signed: Signed) -> Reference:
    """What NVIDIA states.

    Args:
        manifest: as `read` gives it.
        root: the certificate (DER) that is believed.
        now_s: by which its certificates must hold, Unix seconds: when its values are approved.
        signed: checks ECDSA over P-384 and SHA-384, signatures as r ‖ s.

    Raises:
        Unverified: `quote.root`, `quote.certificate`, `quote.chain.…`; `quote.digest`: not what was signed;
            `quote.signature`.
    """
    if manifest.certificates[0] != root:
        refuse("quote.root", "the manifest's chain does not begin at the root that is believed")
    path = [certificate_of(each, place, (ECDSA_SHA384,), P384) for place, each in enumerate(manifest.certificates)]
    try:
        check_path(path, now_s, lambda key, message, signature: signed(key, message, raw_signature(signature, 48)))
    except Malformed as error:
        refuse("quote.certificate", error.message)
    if manifest.digest != manifest.stated:
        refuse("quote.digest", "the manifest is not what its signer signed")
    if not signed(path[-1].key, manifest.signed, manifest.signature):
        refuse("quote.signature", "the manifest is not signed by its certificate's key")
    certificates = tuple((each.issuer, each.serial) for each in path[1:])
    return Reference(manifest.product, manifest.version, manifest.values, certificates)


def golden(firmware: Reference, driver: Reference | None) -> Golden:
    """What a device measures with this firmware and driver; a switch has none.

    Raises:
        Unverified: `quote.manifests`: they are of two products, or both state the same measurement.
    """
    if driver is None:
        return Golden(firmware.product, "", firmware.version, firmware.values)
    if driver.product != firmware.product or driver.values.keys() & firmware.values.keys():
        refuse("quote.manifests", "the manifests of driver and firmware are of two products, or contradict each other")
    return Golden(firmware.product, driver.version, firmware.version, {**firmware.values, **driver.values})
