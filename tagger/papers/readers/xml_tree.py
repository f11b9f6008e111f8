"""Parse XML without entities and external resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagger.errors import TaggerError
from tagger.papers.readers.source import Source, parsing

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


def parse_xml(source: Source) -> Element:
    """Parse XML; raise a TaggerError with the line if it is invalid or declares entities."""
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    with parsing("XML"):
        try:
            root: Element = fromstring(source.xml)
        except ParseError as error:
            raise TaggerError(
                f"is not valid XML: {str(error).partition(':')[0]}",
                line=error.position[0],
                hint="Download the file again: it may be incomplete",
            ) from error
        except DefusedXmlException as error:
            raise TaggerError(
                "declares XML entities, which can be harmful and which lists of papers never use"
            ) from error
    return root


def texts_of(record: Element, paths: tuple[str, ...]) -> list[str]:
    """Return the texts of all elements at some paths below an element."""
    return [text_of(each) for path in paths for each in record.findall(path)]


def text_of(element: Element) -> str:
    """Return the text in an element, on one line."""
    return " ".join("".join(element.itertext()).split())
