"""Show references of docstrings, such as ``:func:`read_papers` ``, as plain code."""

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):(?=`)")


class PlainRoles(griffe.Extension):
    """Takes the role off each reference; what it refers to stays, as code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object before it is parsed."""
        if obj.docstring:
            obj.docstring.value = _ROLE.sub("", obj.docstring.value)
