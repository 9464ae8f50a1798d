"""The root of the command line: which commands there are, and what becomes of an error at the door.

A command's module is imported when the command is used, so that `paraph --help` answers in a blink.
"""

import errno
import json
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from importlib import import_module
from typing import Any, Final

import click

from paraph import __version__
from paraph.cli.terminal import printable
from paraph.core.errors import ParaphError, Unverified

DONE: Final = 0
FAILED: Final = 1
MISUSED: Final = 2
STOPPED: Final = 130
"""128 + SIGINT, as shells say it."""

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "verify": ("paraph.cli.verify", "Check a saved answer, with no network."),
    "devnet": ("paraph.cli.devnet", "A whole network on this machine."),
    "testnet": ("paraph.cli.testnet", "A network of validators on this machine."),
    "chat": ("paraph.cli.chat", "Ask a language model; the answer is verified."),
    "infer": ("paraph.cli.infer", "Run a tensor model; the answer is verified."),
    "embed": ("paraph.cli.embed", "Embeddings of texts; the answer is verified."),
    "proxy": ("paraph.cli.proxy", "A local OpenAI API that signs, pays and verifies."),
    "relay": ("paraph.cli.relay", "Carry sealed requests to nodes, and read none."),
    "light": ("paraph.cli.light", "A local Ethereum JSON-RPC that verifies all it shows."),
    "network": ("paraph.cli.network", "What is pinned of a network: show it, keep it fresh."),
    "receipt": ("paraph.cli.receipt", "Show, settle and replay saved answers."),
    "proof": ("paraph.cli.proof", "Promised proofs: look, fetch, or the price back."),
    "wallet": ("paraph.cli.wallet", "Your key, its balance and its escrow."),
    "model": ("paraph.cli.model", "Publish models and look at them."),
    "node": ("paraph.cli.node", "Inference nodes: look, register, run."),
    "measurement": ("paraph.cli.measurement", "Code that enclaves may run."),
    "full-node": ("paraph.cli.full_node", "The ledger's node."),
    "validator": ("paraph.cli.validator", "Validators: bond, take part, leave."),
}
"""Command, its module, and what it is for; here so that the list needs no imports."""


class Program(click.Group):
    """The root group. A subclass because click has no other way to import commands late and to speak for errors."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """The commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  as above
        """A command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        found: click.Command = getattr(import_module(module), module.rsplit(".", 1)[1])
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  as above
        """The list in the help, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, says) for name, (_, says) in COMMANDS.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, and turn every error into one line and an exit code."""
        given = list(sys.argv[1:] if args is None else args)
        name = prog_name or "paraph"
        run = super().main
        code = _guarded(lambda: run(given, name, complete_var, standalone_mode=False, **extra), given)
        if standalone_mode:
            sys.exit(code)
        return code


def _guarded(run: Callable[[], object], given: list[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a letter gets its escape, not a failure.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    as_json = "--json" in given[: given.index("--")] if "--" in given else "--json" in given
    try:
        code = run()
        sys.stdout.flush()
    except ParaphError as error:
        return _tell(error.as_json() | {"branch": error.branch} | _reasons(error), as_json, code_of(error))
    except click.exceptions.Abort:
        return _tell({"code": "cli.stopped", "message": "stopped"}, as_json, STOPPED)
    except click.ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
            return MISUSED
        context = getattr(error, "ctx", None)
        more = f"; `{context.command_path} --help` says more" if context is not None else ""
        return _tell({"code": "cli.usage", "message": error.format_message().rstrip(".") + more}, as_json, MISUSED)
    except OSError as error:
        if error.errno == errno.EPIPE:
            # Whoever read has gone: nothing more to say, and nothing to say it to.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return FAILED
        return _fault(error, as_json)
    except Exception as error:  # noqa: BLE001  the door: a fault of ours becomes one line that says so
        return _fault(error, as_json)
    return code if type(code) is int else DONE


def code_of(error: ParaphError) -> int:
    """The exit code of an error: what is malformed was misused, all else was not done."""
    return MISUSED if error.branch == "malformed" else FAILED


def _reasons(error: ParaphError) -> dict[str, object]:
    if not isinstance(error, Unverified):
        return {}
    return {"reasons": [{"code": code, "sentence": sentence} for code, sentence in error.reasons]}


def _fault(error: Exception, as_json: bool) -> int:
    if os.environ.get("PARAPH_TRACEBACK"):
        raise error
    message = f"{type(error).__name__}: {error}; if this is not your machine's doing it is a bug (PARAPH_TRACEBACK=1)"
    return _tell({"code": "cli.fault", "message": message}, as_json, FAILED)


def _tell(said: MutableMapping[str, object], as_json: bool, code: int) -> int:
    if as_json:
        click.echo(json.dumps({"error": said}), err=True)
    else:
        click.echo(printable(f"error: {said['message']} [{said['code']}]"), err=True)
    return code


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "--version", message="paraph %(version)s")
def paraph() -> None:
    """Verifiable AI: every answer carries a receipt that anyone can check, offline.

    Exit codes: 0 done (or verified), 1 not done (or not verified), 2 malformed or misused.
    """
