"""What readers say of what they cannot read."""

from tagger.errors import TaggerError


def refusal(rows):
    """Return the first error that reading raises, or yields in place of a row; None if none."""
    try:
        return next((row for row in rows if isinstance(row, TaggerError)), None)
    except TaggerError as error:
        return error
