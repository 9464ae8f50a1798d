"""The answer to more than the node can do: come back later, and when."""

from typing import Final

from paraph.core.errors import Unavailable


class Busy(Unavailable):
    """Something is full; `retry_after_s` says when to come back."""

    def __init__(self, retry_after_s: int, code: str = "node.busy", what: str = "the queue is full") -> None:
        super().__init__(code, f"{what}; come back in {retry_after_s} s", retry_after_s=retry_after_s)
        self.retry_after_s: Final = retry_after_s
