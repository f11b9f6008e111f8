"""Split titles into words, and decide whether two titles can belong to the same work."""

from __future__ import annotations

import re
import unicodedata
from difflib import SequenceMatcher

_WORD = re.compile(r"[^\W_]+")
_NOT_A_WORD = re.compile(r"[\W_]+")
_LETTER_AND_SIGN = re.compile(r"\b(?:c\+\+|[cf][#\u266f])")
"""C++, C#, F#: names in which the signs are read aloud."""
_SPOKEN = {ord("+"): " plus ", ord("#"): " sharp ", ord("\u266f"): " sharp "}
_OPTIONAL_MARKS = {1, *range(10, 37), *range(200, 256)}
"""Combining classes of accents, which ``casefold`` may separate from their letters, and of the
points of Hebrew, Arabic and Syriac, which are rarely written."""
_INVISIBLE = re.compile("[\u034f\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Variation selectors and other marks without a shape."""
_SUBTITLE = re.compile(r"\s*[:;.?!\uff1a]\s+|\uff1a|\s+[-\u2013\u2014]+\s+|[\u2013\u2014]")
_NUMBER = re.compile(r"\d+|[ivxlc]+|[b-z]")
"""A word that numbers the parts of a work: digits, a Roman numeral, a letter."""
_GENERIC = re.compile(
    "abstracts?|appendix|chapter|comment|conclusions?|contents|correction|discussion|editorial"
    "|erratum|foreword|index|introduction|letter|methods|part|preface|reply|results|review|summary"
)
_MIN_WORDS = 4
"""A title of fewer words does not match a longer one that begins with it. In a longer title, one
word in this number of words may be missing."""
_ALIKE = 0.75
"""Minimum similarity of two spellings of a word, 0 to 1 (Ratcliff and Obershelp, 1988)."""


def words_of(title: str) -> list[str]:
    """Return the words of a title, without case, punctuation and differences of Unicode form.

    Vowel signs and the like, as in Hindi and Thai, are parts of words, but ``\\w`` lacks them. The
    signs of C++, C# and F# are words.
    """
    normal = unicodedata.normalize("NFKC", title).casefold()
    normal = _LETTER_AND_SIGN.sub(lambda found: found[0].translate(_SPOKEN), normal)
    if normal.isascii():
        return _WORD.findall(normal)
    return _NOT_A_WORD.sub(_marks_or_space, normal).split()


def _marks_or_space(found: re.Match[str]) -> str:
    return "".join(one if _is_part_of_word(one) else " " for one in found[0])


def _is_part_of_word(character: str) -> bool:
    return (
        unicodedata.category(character) in ("Mn", "Mc")
        and unicodedata.combining(character) not in _OPTIONAL_MARKS
        and not _INVISIBLE.match(character)
    )


def titles_agree(one: str, other: str) -> bool:
    """Return whether two titles can belong to the same work.

    Case, punctuation and spelling may differ, a subtitle may be missing, and the end may be cut
    off. Numbers and other words must be the same.
    """
    words = words_of(one), words_of(other)
    short, long = sorted(words, key=len)
    if "".join(short) == "".join(long):
        return True
    for title, given in ((one, words[1]), (other, words[0])):
        main = words_of(_SUBTITLE.split(title.strip(), maxsplit=1)[0])
        if main == given and not (len(main) == 1 and _GENERIC.fullmatch(main[0])):
            return True
    return _differ_in_spelling(short, long)


def _differ_in_spelling(short: list[str], long: list[str]) -> bool:
    added = 0
    for kind, start, end, first, last in SequenceMatcher(None, short, long, False).get_opcodes():
        gone, new = "".join(short[start:end]), "".join(long[first:last])
        if kind == "replace" and not _are_alike(gone, new, is_last=end == len(short)):
            return False
        if kind in ("insert", "delete"):
            if any(map(_NUMBER.fullmatch, short[start:end] + long[first:last])):
                return False
            # Words at the end may be a subtitle.
            at_end = kind == "insert" and last == len(long) and len(short) >= _MIN_WORDS
            added += 0 if at_end else (end - start) + (last - first)
    return added <= len(short) // _MIN_WORDS


def _are_alike(gone: str, new: str, *, is_last: bool) -> bool:
    """Return whether one word is another spelling of the other, or its cut beginning."""
    if gone == new:
        return True
    if any(map(str.isdigit, gone + new)) or min(len(gone), len(new)) < 3:
        return False
    cut = is_last and (new.startswith(gone) or gone.startswith(new))
    return cut or SequenceMatcher(None, gone, new, False).ratio() >= _ALIKE
