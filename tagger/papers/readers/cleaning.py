"""Turn what typesetting and copying left in a text into plain words.

Pages carry LaTeX in three states: whole (``\\textbf{x}``, ``5\\%``), with the backslash already
lost (``mathcal{O}``), and as typewriter habits (``--``, quotes made of accents). The first is
left to pylatexenc; the other two are no LaTeX any more, so they have rules here.
"""

from __future__ import annotations

import html
import logging
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache, partial

from tagger._util.text_safety import UNSAFE

_STRIPPED_COMMAND = re.compile(
    r"\b(?:mathcal|mathbb|mathbf|mathrm|mathit|text|textit|textbf|textsc|texttt|textrm|emph)\{"
)
_LINK_COMMAND = re.compile(r"\\(?:url|href)\s*(?=\{)")
_LINK_PLACEHOLDER = re.compile(r"/?\{(?:this )?https?[^{}]*\}")
_BRACES = str.maketrans("", "", "{}")
_TIE = re.compile(r"(?<=\S)~(?=\S)")
_DOUBLE_QUOTES = re.compile(r"``|''")
_LATEX = re.compile(r"\\|\$[^$\d\s][^$]*\$")
_BARE_SPECIAL = re.compile(r"(?<!\\)([%#&])")
_CURRENCY = re.compile(r"(?<!\\)\$(?=\d)")
# Marks that are put upon a letter; to bring thousands of them in order takes minutes.
_MANY_MARKS = re.compile(r"[^\w\s\x00-\x7f]{31,}")
_MOST_MARKS = 30
"""Upon one letter, as in Unicode's Stream-Safe Text Format (UAX 15, 13)."""
_LONG_REFERENCE = re.compile(r"&#[0-9]{100,};?")
_TILDE = re.compile(r"(?<!\\)~")
_SPACE = re.compile(r"\s+")
# Tags of HTML, and of the JATS of publishers, that stand within a line of text.
_ATTRIBUTES = r"""(?:\s+[\w:-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'))*\s*/?>"""
_INLINE_TAG = re.compile(
    r"</?(?:i|b|u|em|strong|sub|sup|inf|sc|scp|span|jats:(?!p\b|title\b)[a-z-]+)" + _ATTRIBUTES,
    re.IGNORECASE,
)
_BLOCK_TAG = re.compile(r"</?(?:p|br|div|jats:p|jats:title)" + _ATTRIBUTES, re.IGNORECASE)
_MOST_PASSES = 8
# Longer than any abstract: parsing such a text as LaTeX would take its time and gain nothing.
_LONGEST_LATEX = 20_000


def clean_text(text: str) -> str:
    """Return ``text`` as one line of plain words.

    HTML entities, LaTeX commands, stray braces, ties, typewriter quotes and dashes are resolved;
    control and text-direction characters and lone surrogates are dropped; white space is folded;
    the result is in Unicode normal form C. Cleaning a clean text changes nothing.
    """
    return _settled(_clean_once, text)


def clean_marked_up_text(text: str) -> str:
    """Return ``text`` as :func:`clean_text` does, without the HTML tags of bibliographic records.

    Only tags that records use are taken out: ``a < b`` and ``<mask>`` stay.
    """
    return _settled(
        lambda marked: _BLOCK_TAG.sub(" ", _INLINE_TAG.sub("", clean_text(marked))), text
    )


def unescape(text: str) -> str:
    """Resolve the character references of HTML; :func:`html.unescape` fails at very long ones."""
    return html.unescape(_LONG_REFERENCE.sub("\ufffd", text))


def _settled(change: Callable[[str], str], text: str) -> str:
    """Change a text until it stays: what one pass uncovers, the next one resolves."""
    for _ in range(_MOST_PASSES):
        before, text = text, change(text)
        if text == before:
            break
    return text


def _clean_once(text: str) -> str:
    text = unescape(text)
    text = _TIE.sub(" ", UNSAFE.sub(" ", text))
    if "{" in text:
        text = _LINK_PLACEHOLDER.sub("", _LINK_COMMAND.sub("", text))
    if len(text) <= _LONGEST_LATEX and _LATEX.search(text):
        text = _latex_to_text(text)
    text = _STRIPPED_COMMAND.sub("", text).translate(_BRACES)
    text = _DOUBLE_QUOTES.sub('"', text)
    text = text.replace("---", "\u2014").replace("--", "\u2013")
    return _SPACE.sub(" ", unicodedata.normalize("NFC", _MANY_MARKS.sub(_thin_out, text))).strip()


def _thin_out(found: re.Match[str]) -> str:
    """Drop marks beyond those that one letter may have."""
    kept, marks = "", 0
    for letter in found[0]:
        marks = marks + 1 if unicodedata.combining(letter) else 0
        kept += letter if marks <= _MOST_MARKS else ""
    return kept


def _latex_to_text(text: str) -> str:
    # A bare % would start a comment and swallow the rest, a $ before a figure is money, and a
    # ~ that still stands here means 'about'.
    escaped = _CURRENCY.sub(r"\\$", _BARE_SPECIAL.sub(r"\\\1", text))
    escaped = _TILDE.sub(r"\\textasciitilde{}", escaped)
    try:
        return _converter()(escaped)
    except Exception:  # whatever its parser chokes on stays as it stands
        return text


@lru_cache(maxsize=1)
def _converter() -> Callable[[str], str]:
    from pylatexenc import latex2text, latexwalker

    context = latex2text.get_default_latex_context_db()
    # The day would be another each time; what the next two raise or lower comes after them.
    texts = {"today": "", "textsubscript": "", "textsuperscript": ""}
    texts |= {"textless": "<", "textgreater": ">"}
    macros = [latex2text.MacroTextSpec(name, text) for name, text in texts.items()]
    context.add_context_category("of texts", macros=macros, prepend=True)
    # An unknown command is more often a lost name (\MyModel) than noise: keep its letters.
    context.set_unknown_macro_spec(
        latex2text.MacroTextSpec("", lambda node, **_: node.macroname + node.macro_post_space)
    )
    converter = latex2text.LatexNodes2Text(
        latex_context=context, math_mode="text", keep_comments=True, strict_latex_spaces=False
    )
    # What it says of broken commands would come between what is said to the user.
    logging.getLogger("pylatexenc").setLevel(logging.CRITICAL)
    # The context of commands would be made anew for each text.
    commands = latexwalker.get_default_latex_context_db()
    return partial(converter.latex_to_text, tolerant_parsing=True, latex_context=commands)
