"""Let signals end a server, and let nothing break off its end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible(end: Callable[[], object]) -> Iterator[None]:
    """Run a block that Ctrl+C or SIGTERM ends with a KeyboardInterrupt, and then call ``end``.

    Further signals are ignored while ``end`` runs. For the main thread only.
    """
    # A shell that starts a command in the background ignores interrupts, so set the handlers.
    _handle(signal.default_int_handler)
    try:
        yield
    finally:
        _handle(signal.SIG_IGN)
        end()
        _handle(signal.default_int_handler)


def _handle(handler: Callable[..., object] | signal.Handlers) -> None:
    for stop_signal in _STOP_SIGNALS:
        signal.signal(stop_signal, handler)
