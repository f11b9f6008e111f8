"""An engine in this process, for tests of what all engines share."""


class SerialEngine:
    """Runs steps one after the other; an item in ``lost`` ends the run there, like a kill."""

    def __init__(self, lost=None):
        self.lost = lost
        self.steps = []

    def each(self, step, items):
        name = type(step).__name__
        for number, item in enumerate(items):
            if (name, number) == self.lost:
                raise KeyboardInterrupt
            self.steps.append(name)
            yield step(item)
