"""The index's tables and queries, in the SQL that SQLite and PostgreSQL both read.

One text for both, so that both give the same rows. Values never stand in it: each is a `?`, filled by the database.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from paraph.adapters.index.port import BlockRows, Covered, LogQuery, LogRow, PageQuery, TransactionRow
from paraph.core.errors import Unavailable
from paraph.core.ident import Address, Digest

TABLES: Final = ("paraph_meta", "paraph_blocks", "paraph_transactions", "paraph_logs")
"""Their names say whose they are: a database may hold other people's tables, and ours are dropped at times."""
TOPICS: Final = ("topic0", "topic1", "topic2", "topic3")

DROP: Final = ("DROP VIEW IF EXISTS paraph_events", *(f"DROP TABLE IF EXISTS {table}" for table in TABLES))

_CREATE: Final = """
CREATE TABLE paraph_meta (name TEXT PRIMARY KEY, value {bytes} NOT NULL);

CREATE TABLE paraph_blocks (height BIGINT PRIMARY KEY, hash {bytes} NOT NULL, time_s BIGINT NOT NULL);

CREATE TABLE paraph_transactions (
    height BIGINT NOT NULL, tx_index INTEGER NOT NULL, hash {bytes} NOT NULL,
    sender {bytes} NOT NULL, recipient {bytes} NOT NULL,
    PRIMARY KEY (height, tx_index)
);
CREATE INDEX paraph_transactions_sender ON paraph_transactions (sender, height, tx_index);
CREATE INDEX paraph_transactions_recipient ON paraph_transactions (recipient, height, tx_index);

CREATE TABLE paraph_logs (
    height BIGINT NOT NULL, log_index INTEGER NOT NULL, tx_index INTEGER NOT NULL, address {bytes} NOT NULL,
    topic0 {bytes}, topic1 {bytes}, topic2 {bytes}, topic3 {bytes}, data {bytes} NOT NULL,
    PRIMARY KEY (height, log_index)
);
CREATE INDEX paraph_logs_address ON paraph_logs (address, height, log_index);
CREATE INDEX paraph_logs_topic0 ON paraph_logs (topic0, height, log_index) WHERE topic0 IS NOT NULL;
CREATE INDEX paraph_logs_topic1 ON paraph_logs (topic1, height, log_index) WHERE topic1 IS NOT NULL;
CREATE INDEX paraph_logs_topic2 ON paraph_logs (topic2, height, log_index) WHERE topic2 IS NOT NULL;
CREATE INDEX paraph_logs_topic3 ON paraph_logs (topic3, height, log_index) WHERE topic3 IS NOT NULL;

CREATE VIEW paraph_events AS
    SELECT l.height, b.hash AS block_hash, b.time_s, l.tx_index, t.hash AS tx_hash, l.log_index, l.address,
        l.topic0, l.topic1, l.topic2, l.topic3, l.data
    FROM paraph_logs l
    JOIN paraph_blocks b ON b.height = l.height
    JOIN paraph_transactions t ON t.height = l.height AND t.tx_index = l.tx_index
"""
"""The view is each event in one row with its transaction and block: what we query, and people with SQL tools too."""

COVERED: Final = (
    "SELECT (SELECT min(height) FROM paraph_blocks), height, hash FROM paraph_blocks ORDER BY height DESC LIMIT 1"
)
READ_META: Final = "SELECT name, value FROM paraph_meta"
PUT_META: Final = "INSERT INTO paraph_meta (name, value) VALUES (?, ?)"
CLEAR: Final = ("DELETE FROM paraph_logs", "DELETE FROM paraph_transactions", "DELETE FROM paraph_blocks")

PUT_BLOCK: Final = "INSERT INTO paraph_blocks (height, hash, time_s) VALUES (?, ?, ?)"
PUT_TRANSACTION: Final = (
    "INSERT INTO paraph_transactions (height, tx_index, hash, sender, recipient) VALUES (?, ?, ?, ?, ?)"
)
PUT_LOG: Final = (
    "INSERT INTO paraph_logs (height, log_index, tx_index, address, topic0, topic1, topic2, topic3, data)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

# Both halves are limited before they are joined, so that an account of a million transactions costs one page. UNION
# leaves one row of a transaction from an account to itself.
_PAGE: Final = (
    "SELECT * FROM (SELECT t.height, b.hash AS block_hash, b.time_s, t.tx_index, t.hash, t.sender, t.recipient"
    " FROM paraph_transactions t JOIN paraph_blocks b ON b.height = t.height"
    " WHERE t.{party} = ? AND t.height >= ? AND (t.height, t.tx_index) < (?, ?)"
    " ORDER BY t.height DESC, t.tx_index DESC LIMIT ?) AS by_{party}"
)
PAGE: Final = (
    f"{_PAGE.format(party='sender')} UNION {_PAGE.format(party='recipient')}"
    " ORDER BY height DESC, tx_index DESC LIMIT ?"
)


def as_kept(format_number: int, identity: bytes) -> dict[str, bytes]:
    """What the table of the index itself says."""
    return {"format": str(format_number).encode(), "identity": identity}


def need_identity(kept: dict[str, bytes], identity: bytes) -> None:
    """Refuse an index of another network. Raises `Unavailable` (`index.network`)."""
    found = kept.get("identity", b"")
    if found != identity:
        raise Unavailable(
            "index.network",
            f"the event index is of another network, {found.hex()[:16]}: name another, or delete this one",
        )


def create(bytes_type: str) -> Iterable[str]:
    """The statements that make empty tables, in the database's word for bytes."""
    return _CREATE.format(bytes=bytes_type).split(";")


def rows_of(blocks: Sequence[BlockRows]) -> Iterable[tuple[str, list[tuple[Any, ...]]]]:
    """Statements with the rows that each inserts, in an order that keeps references whole."""
    yield PUT_BLOCK, [(block.height, block.hash, block.time_s) for block in blocks]
    yield (
        PUT_TRANSACTION,
        [(tx.height, tx.index, tx.hash, tx.sender, tx.recipient) for block in blocks for tx in block.transactions],
    )
    yield PUT_LOG, [_log_values(log) for block in blocks for log in block.logs]


def _log_values(log: LogRow) -> tuple[Any, ...]:
    topics = (*log.topics, *(None,) * (len(TOPICS) - len(log.topics)))
    return log.height, log.index, log.tx_index, log.address, *topics, log.data


def search(query: LogQuery) -> tuple[str, list[Any]]:
    """The statement of a query for events, and its values."""
    where, values = ["height BETWEEN ? AND ?"], [query.first, query.last]
    criteria: list[Any] = [("address", query.addresses), *zip(TOPICS, query.topics, strict=False)]
    for column, wanted in criteria:
        if wanted is not None:
            where.append(f"{column} IN ({', '.join('?' * len(wanted))})")
            values.extend(sorted(wanted))
    if query.topics:
        where.append(f"{TOPICS[len(query.topics) - 1]} IS NOT NULL")
    # Only names of columns and question marks of ours stand in the text.
    text = f"SELECT * FROM paraph_events WHERE {' AND '.join(where)} ORDER BY height, log_index LIMIT ?"  # noqa: S608
    return text, [*values, query.rows_max]


def page(query: PageQuery) -> tuple[str, list[Any]]:
    """The statement of one page of an account's transactions, and its values."""
    # Before a place, and no later than the last block: the lesser of the two says both.
    before = min(query.before, (query.last + 1, 0))
    half = [query.account, query.first, *before, query.rows_max]
    return PAGE, [*half, *half, query.rows_max]


def covered(row: tuple[Any, ...] | None) -> Covered | None:
    """What the statement `COVERED` found."""
    return None if row is None else Covered(row[0], row[1], Digest(bytes(row[2])))


def log_row(row: tuple[Any, ...]) -> LogRow:
    """A row of the view `paraph_events`."""
    height, block_hash, time_s, tx_index, tx_hash, index, address, *topics, data = row
    return LogRow(
        height,
        Digest(bytes(block_hash)),
        time_s,
        tx_index,
        Digest(bytes(tx_hash)),
        index,
        Address(bytes(address)),
        tuple(bytes(topic) for topic in topics if topic is not None),
        bytes(data),
    )


def transaction_row(row: tuple[Any, ...]) -> TransactionRow:
    """A row of the statement `PAGE`."""
    height, block_hash, time_s, index, tx_hash, sender, recipient = row
    return TransactionRow(
        height,
        Digest(bytes(block_hash)),
        time_s,
        index,
        Digest(bytes(tx_hash)),
        Address(bytes(sender)),
        Address(bytes(recipient)),
    )
