"""A maker of manifests with a root of its own: every part of one can be made wrong, and the signature still be right.

The canonical form is a library's, not ours: what verifies here is XML's signature, not our reading of it.
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha384
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from lxml import etree  # type: ignore[import-untyped]
from tests.support.nitro import Place, key

ROOT: Final = Place("manifest.root.sim", before_s=10**8, after_s=10**8)
CHAIN: Final = (ROOT, Place("manifest.product.sim", serial=21), Place("manifest.team.sim", length=0, serial=22))
LEAF: Final = Place("manifest.signer.sim", authority=False, usage="evidence", serial=23)
END: Final = "</SoftwareIdentity>"
SIGNATURE: Final = (
    '<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo>'
    '<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2006/12/xml-c14n11"/>'
    '<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"/><ds:Reference URI="">'
    '<ds:Transforms><ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>'
    '<ds:Transform Algorithm="http://www.w3.org/2006/12/xml-c14n11"/></ds:Transforms>'
    '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#sha384"/>'
    "<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
    "<ds:SignatureValue>{signature}</ds:SignatureValue><ds:KeyInfo><ds:X509Data>{certificates}</ds:X509Data>"
    "</ds:KeyInfo></ds:Signature>"
)
HEAD: Final = (
    '<SoftwareIdentity xmlns="http://standards.iso.org/iso/19770/-2/2015/schema.xsd"'
    ' xmlns:ns0="http://standards.iso.org/iso/19770/-2/2015/schema.xsd"'
    ' xmlns:ns2="http://www.w3.org/2001/04/xmlenc#sha384" corpus="false" name="GH100" version="1.0">\n'
    '    <ns0:Entity name="SIMULATED-NOT-HARDWARE" role="softwareCreator tagCreator"/>\n'
)
META: Final = (
    '    <ns0:Meta xmlns:ns1="https://example.invalid/rim/" colloquialVersion="{version}" product="{product}"'
    ' ns1:PlatformModel="GH100" edition="GPU"/>\n'
)
PAYLOAD: Final = (
    '    <ns0:Payload xmlns:SHA384="http://www.w3.org/2001/04/xmlenc#sha384">\n{resources}    </ns0:Payload>\n'
)


@dataclass(frozen=True)
class Made:
    """A manifest to be made.

    Args:
        values: by index, from 0; the digests that are right there.
        inactive: indices that are not compared.
        body: all before the signature, in place of what the rest says.
    """

    version: str = "96.00.5e.00.01"
    product: str = "GH100"
    values: Mapping[int, tuple[bytes, ...]] = field(
        default_factory=lambda: {0: (b"a" * 48,), 1: (b"b" * 48, b"c" * 48)}
    )
    inactive: tuple[int, ...] = ()
    body: str | None = None
    chain: tuple[Place, ...] = CHAIN
    leaf: Place = LEAF

    def but(self, **changes: Any) -> "Made":
        """The same with other parts."""
        return replace(self, **changes)

    def replacing(self, old: str, new: str) -> "Made":
        """The same with other text before the signature, which is signed."""
        if old not in self.text():
            raise ValueError(old)
        return replace(self, body=self.text().replace(old, new))

    def changed(self, old: str, new: str) -> bytes:
        """The manifest with other text than was made."""
        whole = self.made()
        if old.encode() not in whole:
            raise ValueError(old)
        return whole.replace(old.encode(), new.encode())

    def text(self) -> str:
        """All before the signature."""
        if self.body is not None:
            return self.body
        resources = "".join(
            f'        <ns0:Resource type="Measurement" index="{index}" active="{index not in self.inactive}"'
            f' alternatives="{len(digests)}" '
            + "".join(f'ns2:Hash{place}="{digest.hex()}" ' for place, digest in enumerate(digests))
            + f'name="Measurement_{index}" size="48"/>\n'
            for index, digests in self.values.items()
        )
        meta = META.format(version=self.version, product=self.product)
        return HEAD + meta + PAYLOAD.format(resources=resources)

    def certificates(self) -> list[bytes]:
        """The chain as DER, root first, and the leaf."""
        places = (*self.chain, self.leaf)
        return [each.made(places[max(place - 1, 0)]) for place, each in enumerate(places)]

    def made(self) -> bytes:
        """The manifest."""
        digest = b64encode(sha384(canonical(self.text() + END)).digest()).decode()
        lines = (_wrapped(each) for each in reversed(self.certificates()))
        certificates = "".join(f"<ds:X509Certificate>{each}</ds:X509Certificate>" for each in lines)
        parts = {"digest": digest, "certificates": certificates}
        unsigned = self.text() + SIGNATURE.format(signature="", **parts) + END
        signer = key(self.leaf.name)
        signature = signer.sign(signed_info(unsigned), ec.ECDSA(SHA384(), deterministic_signing=True))
        r, s = decode_dss_signature(signature)
        raw = b64encode(r.to_bytes(48, "big") + s.to_bytes(48, "big")).decode()
        return (self.text() + SIGNATURE.format(signature=raw, **parts) + END + "\n").encode()


def canonical(text: str) -> bytes:
    """A document's canonical form, by a library."""
    found: bytes = etree.tostring(etree.fromstring(text.encode()), method="c14n")
    return found


def signed_info(text: str) -> bytes:
    """The canonical form of what a document's signature is over, by a library."""
    found = etree.fromstring(text.encode()).find(".//{http://www.w3.org/2000/09/xmldsig#}SignedInfo")
    made: bytes = etree.tostring(found, method="c14n", with_tail=False)
    return made


def _wrapped(certificate: bytes) -> str:
    text = b64encode(certificate).decode()
    return "".join(f"{text[at : at + 64]}\n" for at in range(0, len(text), 64))
