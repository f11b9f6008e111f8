"""Ports of this machine's loopback interface."""

from __future__ import annotations

import socket
import time

from tagger.errors import TaggerError

HOST = "127.0.0.1"
_FREE_SECONDS = 5.0


def wait_until_free(port: int) -> None:
    """Wait until a port is free, because a stopped server frees its port with a delay.

    Raises a TaggerError if it stays in use.
    """
    deadline = time.monotonic() + _FREE_SECONDS
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise TaggerError(
                        f"port {port} is in use by another program",
                        hint="Choose another with --port",
                    ) from error
        time.sleep(0.2)
