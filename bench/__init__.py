"""The benchmarks: every figure that paraph states of itself, each measured beside what it is compared to."""
