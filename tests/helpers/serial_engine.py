"""An engine in this process that can be killed and that tells what it did."""

from tagger.tagging.engine import LocalEngine


class SerialEngine(LocalEngine):
    """Does the work one item after the other; an item in ``lost`` ends the run there, like a kill.

    ``steps`` tells what was done: ``read`` or ``tag``, once for each item.
    """

    def __init__(self, lost=None, shard_size=16):
        self.lost, self.shard_size = lost, shard_size
        self.steps = []

    def each(self, work, items, *, holds_model=False):
        name = "tag" if holds_model else "read"
        for number, item in enumerate(items):
            if (name, number) == self.lost:
                raise KeyboardInterrupt
            self.steps.append(name)
            yield work(item)
