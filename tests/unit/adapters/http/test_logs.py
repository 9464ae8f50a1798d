"""What a server process logs."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
import structlog
from paraph.adapters.http.logs import configure_logs

sys.stderr.isatty = lambda: {terminal}
configure_logs()

def fails(prompt: str) -> None:
    raise ValueError("it failed")

try:
    fails("MY " + "SECRET " + "PROMPT")
except ValueError:
    structlog.get_logger().exception("failed", where="here")
"""


def logged(folder: Path, *, terminal: bool) -> str:
    """What a process writes to standard error when something fails."""
    script = folder / "fails.py"
    script.write_text(SCRIPT.format(terminal=terminal))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, check=True)
    return done.stderr.decode()


def test_tracebacks_keep_variables_to_themselves(tmp_path: Path) -> None:
    """A logged failure names the place and the reason, and no variable's value, in JSON and on a terminal."""
    for terminal in (False, True):
        said = logged(tmp_path, terminal=terminal)

        assert "it failed" in said
        assert "fails" in said
        assert "SECRET PROMPT" not in said
