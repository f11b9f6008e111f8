"""Signals that end a server."""

import signal
import time

import pytest

from tagger._util.interrupts import interruptible

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def handlers():
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_a_signal_ends_the_block_and_a_second_one_does_not_break_off_its_end(first, second):
    ended = []

    def end():
        signal.raise_signal(second)
        ended.append(True)

    def serve():
        with interruptible(end):
            signal.raise_signal(first)
            time.sleep(10)

    with pytest.raises(KeyboardInterrupt):
        serve()
    assert ended
