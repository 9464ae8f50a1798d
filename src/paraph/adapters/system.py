"""The operating system's clock and random numbers: the only place that has either."""

import secrets
import time


class SystemClock:
    """The wall clock."""

    def now_ms(self) -> int:
        """Unix time in milliseconds."""
        return time.time_ns() // 1_000_000


def random_bytes(size: int) -> bytes:
    """`size` bytes from the operating system's generator, fit for keys."""
    return secrets.token_bytes(size)
