"""Convert LaTeX, HTML and typewriter notation in titles and abstracts to plain text.

Digest pages contain LaTeX in three states: complete (``\\textbf{x}``, ``5\\%``), with lost
backslashes (``mathcal{O}``), and as typewriter notation (``--``, quotes made of accents). The first
is converted by pylatexenc, the other two by the rules below.
"""

from __future__ import annotations

import html
import logging
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from tagger._util.text_safety import UNSAFE

_STRIPPED_COMMAND = re.compile(
    r"\b(?:mathcal|mathbb|mathbf|mathrm|mathit|text|textit|textbf|textsc|texttt|textrm|emph)\{"
)
_LINK_COMMAND = re.compile(r"\\(?:url|href)\s*(?=\{)")
_LINK_PLACEHOLDER = re.compile(r"/?\{(?:this )?https?[^{}]*\}")
_BRACES = str.maketrans("", "", "{}")
_TIE = re.compile(r"(?<=\S)~(?=\S)")
_DOUBLE_QUOTES = re.compile(r"``|''")
# A formula that begins with a digit has no blank, and a comma only within a number; or it has a
# command, an index or an exponent.
_NUMBERS = r"\$\d(?:(?:[^$\s;,]|,(?=\d))*|[^$;]{0,80}[\\^_][^$;]{0,80}(?<!\s))\$(?!\d)"
_LATEX = re.compile(rf"\\|\$[^$\d\s][^$]*\$|{_NUMBERS}")
_BARE_SPECIAL = re.compile(r"(?<!\\)([%#&])")
# Matches a sign in LaTeX before a number, as in $\sim$100: its second $ is not a currency.
_SIGN = r"\$[\\<>=+-][^$\s]{0,40}\$(?=\d)"
_CURRENCY = re.compile(rf"(?<!\\)(?:({_SIGN}|{_NUMBERS})|\$(?=\d))")
_FONT = re.compile(r"\\(?:em|it|bf|rm|sc|sf|sl|tt)(?:series|shape|family)?(?![a-zA-Z])\s*")
_COMMAND_WITH_TEXT = re.compile(r"\\(?!(?:begin|end)\b)([a-zA-Z]{2,})(?=\{[^{}])")
# Combining marks of one letter; normalising thousands of them takes minutes.
_MANY_MARKS = re.compile(r"[^\w\s\x00-\x7f]{31,}")
_MAX_MARKS = 30
"""Combining marks a letter, as in Unicode's Stream-Safe Text Format (UAX 15, 13)."""
_LONG_REFERENCE = re.compile(r"&#[0-9]{100,};?")
_GREEK = (
    "\u03b1\u03b2\u03b3\u03b4\u03b5\u03b8\u03ba\u03bc\u03c0\u03c1\u03c3\u03c4\u03c6\u03c7\u03c9"
)
_TILDE = re.compile(r"(?<!\\)~")
_SPACE = re.compile(r"\s+")
# Inline tags of HTML, and of JATS, the XML of publishers.
_ATTRIBUTES = r"""(?:\s+[\w:-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'))*\s*/?>"""
_INLINE_TAG = re.compile(
    r"</?(?:i|b|u|em|it|italic|bold|strong|sub|sup|inf|sc|scp|span|tex|tex-math|math|m[inosu]"
    r"|mrow|m(?:sub|sup|subsup|frac|text|over|under|fenced|style)|mml:[a-z]+"
    r"|jats:(?!p\b|title\b)[a-z-]+)" + _ATTRIBUTES,
    re.IGNORECASE,
)
_BLOCK_TAG = re.compile(
    r"</?(?:p|br|div|h[1-6]|[uo]l|li|abstracttext|jats:p|jats:title)" + _ATTRIBUTES, re.IGNORECASE
)
_HEADING = re.compile(r"<jats:title[^<>]{0,99}>\s*abstract\s*</jats:title\s*>", re.IGNORECASE)
_LABELLED = re.compile(
    r"<abstracttext\b[^<>]{0,99}?\blabel=\"([^\"<>]{0,99})\"[^<>]{0,99}>", re.IGNORECASE
)
"""The beginning of a section of an abstract in PubMed's XML, which other databases leave in."""
_MAX_PASSES = 8
_MAX_LATEX = 20_000
"""Characters. A longer text is not an abstract, and parsing it as LaTeX is slow."""


def clean_text(text: str) -> str:
    """Convert ``text`` to one line of plain text in Unicode normal form C.

    HTML entities, LaTeX commands, stray braces, ties, typewriter quotes and dashes are resolved.
    Control and text-direction characters and lone surrogates are dropped. White space is collapsed.
    The function is idempotent.
    """
    return _until_stable(_clean_once, text)


def clean_marked_up_text(text: str) -> str:
    """Clean ``text`` like :func:`clean_text`, and remove the HTML tags of bibliographic records.

    Only the tags that such records use are removed: ``a < b`` and ``<mask>`` stay.
    """
    return _until_stable(_clean_markup_once, text)


def _clean_markup_once(text: str) -> str:
    labelled = _LABELLED.sub(r" \1: ", _HEADING.sub(" ", clean_text(text)))
    return _BLOCK_TAG.sub(" ", _INLINE_TAG.sub("", labelled))


def unescape(text: str) -> str:
    """Resolve HTML character references, also very long ones, at which html.unescape fails."""
    return html.unescape(_LONG_REFERENCE.sub("\ufffd", text))


def _until_stable(clean: Callable[[str], str], text: str) -> str:
    """Apply ``clean`` until the text no longer changes, at most 8 times."""
    for _ in range(_MAX_PASSES):
        before, text = text, clean(text)
        if text == before:
            break
    return text


def _clean_once(text: str) -> str:
    text = unescape(text)
    text = _TIE.sub(" ", UNSAFE.sub(" ", text))
    if "{" in text:
        text = _LINK_PLACEHOLDER.sub("", _LINK_COMMAND.sub("", text))
    if len(text) <= _MAX_LATEX and _LATEX.search(text):
        text = _latex_to_text(text)
    text = _STRIPPED_COMMAND.sub("", text).translate(_BRACES)
    text = _DOUBLE_QUOTES.sub('"', text)
    text = text.replace("---", "\u2014").replace("--", "\u2013")
    return _SPACE.sub(" ", unicodedata.normalize("NFC", _MANY_MARKS.sub(_thin_out, text))).strip()


def _thin_out(found: re.Match[str]) -> str:
    """Remove the combining marks of a letter beyond the first 30."""
    kept, marks = "", 0
    for letter in found[0]:
        marks = marks + 1 if unicodedata.combining(letter) else 0
        kept += letter if marks <= _MAX_MARKS else ""
    return kept


def _latex_to_text(text: str) -> str:
    # A bare % would start a comment, a $ before a digit is a currency, and a remaining ~ means
    # 'about'.
    escaped = _BARE_SPECIAL.sub(r"\\\1", _FONT.sub("", text))
    escaped = _CURRENCY.sub(lambda found: found[1] or r"\$", escaped)
    escaped = _TILDE.sub(r"\\textasciitilde{}", escaped)
    try:
        convert, is_known = _converter()
        # Of a command that no one knows, the text in braces is kept.
        return convert(
            _COMMAND_WITH_TEXT.sub(lambda found: found[0] if is_known(found[1]) else "", escaped)
        )
    except Exception:  # pylatexenc raises various errors at broken LaTeX: keep the text
        return text


def _text_of_command(node: Any, l2tobj: Any) -> str:
    """Return the text of a command that pylatexenc does not convert: its arguments or letters."""
    arguments = [each for each in (node.nodeargd.argnlist if node.nodeargd else ()) if each]
    if arguments or node.parsing_state.in_math_mode:
        return str(l2tobj.nodelist_to_text(arguments))
    return str(node.macroname + node.macro_post_space)


@lru_cache(maxsize=1)
def _converter() -> tuple[Callable[[str], str], Callable[[str], bool]]:
    """Return the function that converts LaTeX, and one that tells if it knows a command."""
    from pylatexenc import latex2text, latexwalker

    context = latex2text.get_default_latex_context_db()
    # \today would change every day. The other two commands are dropped; their arguments are kept.
    texts = {"today": "", "textsubscript": "", "textsuperscript": ""}
    # Crossref's names of characters, which LaTeX does not know.
    texts |= {"textless": "<", "textgreater": ">", "less": "<", "greater": ">"}
    texts |= {"mathplus": "+", "mathsemicolon": ";", "textquotesingle": "'", "textquotedbl": '"'}
    texts |= {"lbrack": "[", "rbrack": "]"}
    texts |= {f"up{unicodedata.name(x)[19:].lower()}": x for x in _GREEK}
    macros = [latex2text.MacroTextSpec(name, text) for name, text in texts.items()]
    context.add_context_category("of texts", macros=macros, prepend=True)
    # An unknown command without argument is usually a name (\MyModel): keep its letters.
    context.set_unknown_macro_spec(latex2text.MacroTextSpec("", _text_of_command))
    converter = latex2text.LatexNodes2Text(
        latex_context=context, math_mode="text", keep_comments=True, strict_latex_spaces=False
    )
    # Hide its warnings about broken commands from the user.
    logging.getLogger("pylatexenc").setLevel(logging.CRITICAL)
    # Without this argument, pylatexenc builds the context again for each text.
    commands = latexwalker.get_default_latex_context_db()
    convert = partial(converter.latex_to_text, tolerant_parsing=True, latex_context=commands)
    return convert, lambda name: commands.get_macro_spec(name) is not None or name in texts
