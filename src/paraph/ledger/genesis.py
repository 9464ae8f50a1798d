"""Genesis: the document a network starts from, and the state it means. Its digest names the network.

The whole supply is allocated, to the wei, or the document is refused.
"""

from dataclasses import dataclass, field

from paraph.core.amount import SUPPLY_WEI, Wei
from paraph.core.digest import tagged
from paraph.core.encode import (
    Json,
    as_decimal,
    as_integer,
    as_list,
    as_object,
    as_text,
    canonical,
    decode_exact,
    take,
)
from paraph.core.errors import Malformed
from paraph.core.ident import (
    ZERO_ADDRESS,
    ZERO_DIGEST,
    Address,
    Digest,
    address_from_hex,
    digest_from_hex,
    from_hex,
    to_hex,
)
from paraph.core.limits import NAME_BYTES_MAX, TIME_S_MAX
from paraph.core.merkle import root as merkle_root
from paraph.core.tags import Tag
from paraph.ledger.block import BASE_FEE
from paraph.ledger.rooms.accounts.keys import BALANCES
from paraph.ledger.rooms.accounts.rules import reserved
from paraph.ledger.rooms.bonds import rules as bonds
from paraph.ledger.rooms.bonds.types import GenesisValidator
from paraph.ledger.rooms.measurements import rules as measurements
from paraph.ledger.rooms.measurements.rules import GenesisRelease
from paraph.ledger.rooms.params import rules as params
from paraph.ledger.rooms.params.keys import GOVERNOR, VERSION
from paraph.ledger.rooms.params.types import BASE_FEE_MIN_WEI, GAS_LIMIT, PARAMETERS, UNBOND_DELAY_S
from paraph.ledger.state import State
from paraph.proofs.header import HEAD_KEY, Head
from paraph.proofs.light.types import Anchor, Validator, ordered
from paraph.proofs.policy import Trust
from paraph.proofs.quotes.evidence import NO_ROOT
from paraph.proofs.quotes.nitro import CERTIFICATE_BYTES_MAX

FORMAT = "paraph/genesis/1"
ALLOCATIONS_MAX = 100_000
VALIDATORS_MAX = 100
RELEASES_MAX = 100


@dataclass(frozen=True, slots=True)
class Allocation:
    """A first balance: whose, how much in wei, and what for (for people)."""

    account: Address
    amount: Wei
    purpose: str


@dataclass(frozen=True, slots=True)
class Genesis:
    """What a network starts from.

    Args:
        network: its name.
        chain_id: EIP-155 chain id; small enough for any wallet.
        time_s: Unix seconds; the first block is not earlier.
        producers: accounts that sign headers on a solo network; none where validators agree.
        validators: the first validators, with their bonds; none on a solo network.
        releases: the first code that enclaves may run.
        simulated_root: the certificate (DER) by which simulated enclaves are believed; only with `devnet`.
        governor: who may change parameters until governance exists; zero for nobody.
        devnet: true when nothing on it has value.
        allocations: the whole supply.
        parameters: those that differ from their defaults.
    """

    network: str
    chain_id: int
    time_s: int
    producers: tuple[Address, ...]
    governor: Address
    devnet: bool
    allocations: tuple[Allocation, ...]
    parameters: dict[str, int] = field(default_factory=dict)
    validators: tuple[GenesisValidator, ...] = ()
    releases: tuple[GenesisRelease, ...] = ()
    simulated_root: bytes = NO_ROOT

    def as_json(self) -> dict[str, Json]:
        """The document as JSON."""
        return {
            "format": FORMAT,
            "network": self.network,
            "chain_id": self.chain_id,
            "time_s": self.time_s,
            "producers": [to_hex(each) for each in self.producers],
            "validators": [
                {
                    "operator": to_hex(each.operator),
                    "key": to_hex(each.key),
                    "bond": str(each.bond),
                    "moniker": each.moniker,
                }
                for each in self.validators
            ],
            "governor": to_hex(self.governor),
            "devnet": self.devnet,
            "allocations": [
                {"account": to_hex(each.account), "amount": str(each.amount), "purpose": each.purpose}
                for each in self.allocations
            ],
            "parameters": {name: str(value) for name, value in self.parameters.items()},
            "releases": [
                {
                    "platform": each.platform,
                    "name": each.name,
                    "measurements": {name: to_hex(value) for name, value in each.measurements.items()},
                    "source": each.source,
                    "provenance": to_hex(each.provenance),
                }
                for each in self.releases
            ],
            "simulated_root": to_hex(self.simulated_root),
        }

    def digest(self) -> Digest:
        """The 32 bytes that name the network."""
        return tagged(Tag.GENESIS, canonical(self.as_json()))

    def trust(self) -> Trust:
        """What a client or an auditor pins of the network: all of it follows from this document.

        Raises:
            Malformed, Rejected: as `state`.
        """
        state = State(self.state().get)
        powers = [Validator(each.key, each.power) for each in bonds.active_set(state)]
        # Validators can be slashed until their bonds are back; two thirds of that leaves time to act on evidence.
        period_s = params.get(state, UNBOND_DELAY_S) * 2 // 3 if powers else 0
        anchor = Anchor(1, ordered(powers), self.time_s) if powers else None
        return Trust(
            self.network,
            self.chain_id,
            self.digest(),
            self.producers,
            self.devnet,
            anchor,
            period_s,
            self.simulated_root,
        )

    def state(self) -> dict[bytes, bytes | None]:
        """The first state.

        Raises:
            Malformed: `genesis.supply`, `genesis.producers`, `genesis.reserved`, `genesis.simulated`; Rejected:
                `params.…`, `bonds.…`, `measurements.…`.
        """
        total = sum(each.amount for each in self.allocations) + sum(each.bond for each in self.validators)
        if total != SUPPLY_WEI:
            raise Malformed("genesis.supply", f"allocations and bonds are {total} wei; the supply is {SUPPLY_WEI}")
        if bool(self.producers) == bool(self.validators):
            raise Malformed("genesis.producers", "a network has a producer (solo) or validators, one of the two")
        paid = [
            *(each.account for each in self.allocations),
            *self.producers,
            *(each.operator for each in self.validators),
        ]
        if any(reserved(account) for account in paid):
            raise Malformed("genesis.reserved", "what is paid to a native contract's address would be lost")
        if self.simulated_root and (not self.devnet or len(self.simulated_root) > CERTIFICATE_BYTES_MAX):
            reason = "only a development network believes simulated enclaves, by a certificate of a kilobyte at most"
            raise Malformed("genesis.simulated", reason)
        unknown = sorted(self.parameters.keys() - PARAMETERS.keys())
        if unknown:
            raise Malformed("genesis.parameters", f"unknown parameters: {', '.join(unknown)}")
        nothing: dict[bytes, bytes] = {}
        state = State(nothing.get)
        params.put(state, self.parameters)
        for each in self.allocations:
            BALANCES.add(state, each.account, each.amount)
        state.put(GOVERNOR, self.governor)
        VERSION.put(state, b"", 1)
        bonds.begin(state, self.validators)
        measurements.begin(state, self.simulated_root, self.releases)
        base_fee = params.get(state, BASE_FEE_MIN_WEI)
        BASE_FEE.put(state, b"", base_fee)
        # Clients take the next block's gas limit and base fee from the last block, even if that is this one.
        head = Head(
            self.chain_id,
            self.digest(),
            0,
            self.time_s,
            ZERO_DIGEST,
            ZERO_ADDRESS,
            merkle_root([]),
            merkle_root([]),
            0,
            params.get(state, GAS_LIMIT),
            base_fee,
        )
        state.put(HEAD_KEY, head.encode())
        state.keep()
        return state.changes()


def decode_genesis(data: bytes) -> Genesis:
    """Read a genesis document. Raises `Malformed` (`genesis.format`, `json.…`)."""
    form, network, chain_id, time_s, producers, validators, governor, devnet, allocations, parameters, *enclaves = take(
        decode_exact(data),
        "genesis",
        "format",
        "network",
        "chain_id",
        "time_s",
        "producers",
        "validators",
        "governor",
        "devnet",
        "allocations",
        "parameters",
        "releases",
        "simulated_root",
    )
    releases, simulated_root = enclaves
    if form != FORMAT or not isinstance(devnet, bool):
        raise Malformed("genesis.format", f"not a genesis document: its format must be {FORMAT}, devnet true or false")
    return Genesis(
        as_text(network, "network", bytes_max=NAME_BYTES_MAX),
        as_integer(chain_id, "chain_id", 1, 2**32),
        as_integer(time_s, "time_s", 0, TIME_S_MAX),
        tuple(address_from_hex(each, "producers") for each in as_list(producers, "producers", items_max=16)),
        address_from_hex(governor, "governor"),
        devnet,
        tuple(_allocation(each) for each in as_list(allocations, "allocations", items_max=ALLOCATIONS_MAX)),
        {name: as_decimal(value, name, 2**128) for name, value in as_object(parameters, "parameters").items()},
        tuple(_validator(each) for each in as_list(validators, "validators", items_max=VALIDATORS_MAX)),
        tuple(_release(each) for each in as_list(releases, "releases", items_max=RELEASES_MAX)),
        from_hex(simulated_root, None, "simulated_root"),
    )


def _validator(value: Json) -> GenesisValidator:
    operator, key, bond, moniker = take(value, "validator", "operator", "key", "bond", "moniker")
    return GenesisValidator(
        address_from_hex(operator, "validator.operator"),
        from_hex(key, 32, "validator.key"),
        Wei(as_decimal(bond, "validator.bond", SUPPLY_WEI)),
        as_text(moniker, "validator.moniker", bytes_max=NAME_BYTES_MAX),
    )


def _release(value: Json) -> GenesisRelease:
    platform, name, found, source, provenance = take(
        value, "release", "platform", "name", "measurements", "source", "provenance"
    )
    return GenesisRelease(
        as_text(platform, "release.platform", bytes_max=NAME_BYTES_MAX),
        as_text(name, "release.name", bytes_max=NAME_BYTES_MAX),
        {each: from_hex(digest, None, each) for each, digest in as_object(found, "release.measurements").items()},
        as_text(source, "release.source", bytes_max=NAME_BYTES_MAX),
        digest_from_hex(provenance, "release.provenance"),
    )


def _allocation(value: Json) -> Allocation:
    account, amount, purpose = take(value, "allocation", "account", "amount", "purpose")
    return Allocation(
        address_from_hex(account, "allocation.account"),
        Wei(as_decimal(amount, "allocation.amount", SUPPLY_WEI)),
        as_text(purpose, "allocation.purpose", bytes_max=NAME_BYTES_MAX),
    )
