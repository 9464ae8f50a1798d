"""All truths in one place: what an auditor checks on any dump of state, and tests after every step."""

from paraph.ledger.rooms.accounts.truths import supply_is_conserved
from paraph.ledger.rooms.bonds.truths import (
    one_key_has_one_operator,
    ranking_follows_power,
    set_follows_power,
    stake_is_held,
    unbonding_is_in_order,
)
from paraph.ledger.rooms.escrow.truths import escrow_is_held
from paraph.ledger.rooms.measurements.truths import releases_are_whole
from paraph.ledger.rooms.models.truths import exact_models_are_whole, one_price_is_in_force
from paraph.ledger.rooms.nodes.truths import bonds_are_held, enclaves_belong_to_nodes, keys_belong_to_nodes
from paraph.ledger.rooms.params.truths import parameters_fit_together
from paraph.ledger.rooms.proofs.truths import (
    prices_are_held,
    promises_are_counted_by_node,
    promises_are_of_exact_models,
    promises_end_once,
)
from paraph.ledger.rooms.settlement.truths import batches_are_whole, promises_are_settled

TRUTHS = (
    supply_is_conserved,
    escrow_is_held,
    stake_is_held,
    one_key_has_one_operator,
    unbonding_is_in_order,
    ranking_follows_power,
    set_follows_power,
    bonds_are_held,
    keys_belong_to_nodes,
    releases_are_whole,
    enclaves_belong_to_nodes,
    one_price_is_in_force,
    exact_models_are_whole,
    parameters_fit_together,
    batches_are_whole,
    prices_are_held,
    promises_end_once,
    promises_are_counted_by_node,
    promises_are_of_exact_models,
    promises_are_settled,
)


def broken(dump: dict[bytes, bytes]) -> list[str]:
    """Every truth that does not hold in a whole state, as sentences; none when all is well."""
    return [f"{truth.__name__}: {sentence}" for truth in TRUTHS for sentence in truth(dump)]
