"""How properties are searched: briefly and afresh in every test run, for long under `make fuzz`.

A failing property prints the blob that repeats it, and `pytest-randomly` prints its seed: each is enough.
"""

import os

from hypothesis import HealthCheck, settings

# No deadline: the machine may be busy, and a slow example is not a wrong one.
settings.register_profile("test", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fuzz", settings.get_profile("test"), max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))
