"""``python -m tagger``: the command line."""

from tagger.cli import main

main()
