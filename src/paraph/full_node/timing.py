"""How long each call of a contract takes: the rules themselves read no clock, so their methods are wrapped here."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from paraph.ledger.contract import Bound, Contract
from paraph.ledger.versions import Rules

Observe: TypeAlias = Callable[[str, str, float], None]
"""Told of each call: contract, method, seconds."""


def timed(versions: Mapping[int, Rules], observe: Observe) -> Mapping[int, Rules]:
    """The same rules, each call of which is told to `observe`."""
    return {
        number: replace(rules, contracts=tuple(_contract(contract, observe) for contract in rules.contracts))
        for number, rules in versions.items()
    }


def _contract(contract: Contract, observe: Observe) -> Contract:
    return replace(contract, methods=tuple(_bound(contract.name, bound, observe) for bound in contract.methods))


def _bound(contract: str, bound: Bound, observe: Observe) -> Bound:
    def rule(*arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return bound.rule(*arguments)
        finally:
            observe(contract, bound.method.name, time.perf_counter() - began)

    return replace(bound, rule=rule)
