"""What a server process writes about itself: lines for a person on a terminal, JSON lines anywhere else.

To standard error, so that standard output stays for results. Callers log facts and ids, never keys or bodies.
"""

import logging
import sys

import structlog


def configure_logs() -> None:
    """Set up logging for a process. Called once, at its door."""
    terminal = sys.stderr.isatty()
    # Tracebacks without their variables: those hold keys, passwords and what people asked.
    traceback = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    rendered: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if terminal
        else [structlog.processors.ExceptionRenderer(traceback), structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *rendered,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
