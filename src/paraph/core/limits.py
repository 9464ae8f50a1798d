"""Every limit in one table, each with its reason.

Everything that can grow has one. Sizes are bytes, times are seconds, unless the name says otherwise.
"""

from typing import Final

JSON_BYTES_MAX: Final = 16 * 1024 * 1024
"""One JSON document: a bundle with a 4 MiB tensor in base64, twice over, fits; a flood does not."""

JSON_DEPTH_MAX: Final = 32
"""Nesting of arrays and objects: tool schemas reach about 12; the C parser recurses, so this guards its stack."""

BODY_DEPTH_MAX: Final = 24
"""Nesting of an effective request: what carries it (a message, an outbox, a bundle) adds a few levels and must fit."""

JSON_INTEGER_MAX: Final = 2**53 - 1
"""The largest integer that JSON numbers carry exactly in every language (RFC 8259 section 6); larger go as text."""

TX_BYTES_MAX: Final = 1024 * 1024
"""One transaction: a settlement of 500 receipts takes 480 kB."""

RLP_ITEMS_MAX: Final = 65_536
"""Items of one RLP value, nested ones counted: a byte each would make a megabyte a second's work. A block has 3 000."""

RLP_DEPTH_MAX: Final = 16
"""Nesting of RLP lists: an EIP-2930 access list needs three."""

CBOR_ITEMS_MAX: Final = 256
"""Items of one CBOR value, nested ones counted: a Nitro document has 60."""

CBOR_DEPTH_MAX: Final = 6
"""Nesting of CBOR: a Nitro document needs two."""

DER_ITEMS_MAX: Final = 64
"""Values in one constructed DER value: a certificate has ten extensions at most."""

BLOCK_GAS_MAX: Final = 60_000_000
"""Gas of one block: about a second of one core at the measured cost of a settlement's signatures."""

RECEIPTS_PER_BATCH_MAX: Final = 500
"""Receipts in one settlement: 500 pairs of signatures take about 70 ms of one core."""

TIME_S_MAX: Final = 2**40
"""The time of a block, Unix seconds: some 35 000 years; nothing computed from it leaves 64 bits."""

MODELS_PER_NODE_MAX: Final = 64
"""Models one node announces: its record is one state value, and a reader fetches it whole."""

ENDPOINT_BYTES_MAX: Final = 256
"""An endpoint URL in the registry: read by every client."""

NAME_BYTES_MAX: Final = 128
"""A name in a registry: a page shows it on one line."""

TENSOR_RANK_MAX: Final = 16
"""Dimensions of a tensor: ONNX models in use stay below eight."""

TENSORS_MAX: Final = 256
"""Tensors in one request or answer."""

REQUEST_LIFETIME_S_MAX: Final = 3600
"""Longest life of a signed request: escrow that a request may still debit must not be withdrawn meanwhile."""

ENCLAVE_SLACK_S: Final = 60
"""How long after an enclave's end by block time its clock may say that work began: block time lags, clocks differ."""

PAGE_MAX: Final = 100
"""Rows in one page of a registry read."""

RECORD_BYTES_MAX: Final = 16 * 1024
"""One proved record: a node with 64 models takes 2.6 kB; RLP of empty lists would unfold sixtyfold in memory."""

MERKLE_DEPTH_MAX: Final = 64
"""Hashes in an inclusion proof: a log of 2^64 leaves never exists."""
