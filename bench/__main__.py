"""`python -m bench [NAME …] [--quick]`: measure, print a table, and write bench/results/NAME.json."""

import argparse
import importlib
import sys
import tempfile
from pathlib import Path
from typing import Final

from bench.figures import Result, save, table

NAMES: Final = (
    *("startup", "receipts", "verification", "settlement", "transfers", "replay"),
    *("state", "growth", "snapshots", "reads", "consensus", "inference", "sealed", "attestation", "zk", "zk_growth"),
)


def main() -> int:
    """Run the benchmarks named, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all when none is named")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller rounds; nothing is written")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(NAMES))
    if unknown:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(NAMES)}")
    for name in options.names or NAMES:
        with tempfile.TemporaryDirectory(prefix="paraph-bench-") as folder:
            result: Result = importlib.import_module(f"bench.{name}").run(Path(folder), quick=options.quick)
        sys.stdout.write("\n" + table(name, result) + "\n")
        sys.stdout.flush()
        if not options.quick:
            save(name, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
