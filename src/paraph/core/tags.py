"""The one table of domain tags. A tag names what a digest is for and its version; adding one is a protocol change."""

from enum import Enum


class Tag(Enum):
    """What a tagged digest commits to. Values never change once released."""

    REQUEST_BODY = "paraph/request-body/1"
    GIVEN = "paraph/given/1"
    RESPONSE_BODY = "paraph/response-body/1"
    STREAM = "paraph/stream/1"
    PROFILE = "paraph/engine-profile/1"
    EVIDENCE = "paraph/evidence/1"
    MANIFEST = "paraph/manifest/1"
    MODEL = "paraph/model/1"
    GENESIS = "paraph/genesis/1"
    KEYSET = "paraph/keyset/1"
    BINDING = "paraph/binding/1"
    RELEASE = "paraph/release/1"
    DEVICES = "paraph/devices/1"
    DEVICE_NONCE = "paraph/device-nonce/1"
    ENCLAVE_NONCE = "paraph/enclave-nonce/1"
    ZK_MODEL = "paraph/zk-model/1"
    ZK_IO = "paraph/zk-io/1"
    ZK_REQUEST = "paraph/zk-request/1"
    ZK_SEED = "paraph/zk-seed/1"
