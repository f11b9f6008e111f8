"""Note each module of tagger that is imported, in the file ``TAGGER_IMPORTS``.

Python imports this file when it starts, if its folder is in ``PYTHONPATH``: so an experiment knows
which files its commands used, also those of commands that were killed.
"""

import os
import sys

FILE = os.environ.get("TAGGER_IMPORTS")


class Notes:
    """A finder of modules that finds none, but is asked first."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if FILE and name.partition(".")[0] == "tagger":
            with open(FILE, "a", encoding="utf-8") as file:  # noqa: PTH123 (pathlib is slow to load)
                file.write(f"{name}\n")


if FILE:
    sys.meta_path.insert(0, Notes)
