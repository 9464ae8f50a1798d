"""The room's ABI."""

from paraph.ledger.contract import Contract, bind
from paraph.ledger.rooms.measurements import keys, rules

CONTRACT = Contract(
    "Measurements",
    keys.ADDRESS,
    "Code that enclaves may run, by what their platforms measure of it; and what is believed no more.",
    (
        bind(
            "approve(string platform, string name, string[] names, bytes[] values, string source, bytes32 provenance)"
            " returns (bytes32 release)",
            rules.approve,
            60_000,
        ),
        bind("revoke(bytes32 release)", rules.revoke, 30_000),
        bind("revokeCertificate(bytes issuer, uint256 serial)", rules.revoke_certificate, 30_000),
        bind("revokeModule(string platform, string module)", rules.revoke_module, 30_000),
        bind(
            "get(bytes32 release) view returns (string platform, string name, string[] names, bytes[] values,"
            " string source, bytes32 provenance, uint64 heightFirst, uint64 heightLast)",
            rules.get,
            6_000,
        ),
        bind("revokedAt(bytes32 name) view returns (uint64 height)", rules.is_revoked, 3_000),
        bind("count() view returns (uint256 releases)", rules.count, 3_000),
        bind("page(uint256 start, uint256 limit) view returns (bytes32[] releases)", rules.page, 3_000),
    ),
    (rules.APPROVED, rules.RELEASE_REVOKED, rules.CERTIFICATE_REVOKED, rules.MODULE_REVOKED),
)
