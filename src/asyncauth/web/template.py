"""`DAG:{dag_id}`: the name of a resource with path parameters in it."""

import re
from collections.abc import Collection, Mapping

from asyncauth.errors import ConfigurationError, ForbiddenError

_FIELD = re.compile(r"\{([^\W\d]\w*)\}")


class ResourceTemplate:
    """Text with `{name}` fields, and no other braces: nothing of what `str.format` can do besides.

    Different values never make the same resource: where text follows a field, its first character may not stand in
    the value, and two fields need text between them.

    Raises:
        ConfigurationError: the text is no such template.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        pieces = _FIELD.split(text)  # text, name, text, name, …, text
        texts, names = pieces[0::2], pieces[1::2]
        if "{" in "".join(texts) or "}" in "".join(texts):
            raise ConfigurationError(f"{text!r} is not a resource template: write a path parameter as {{name}}")
        if "" in texts[1:-1]:
            raise ConfigurationError(f"{text!r} is not a resource template: put text between two parameters")
        self.names: frozenset[str] = frozenset(names)
        self._head = texts[0]
        self._fields = tuple((name, text, text[:1]) for name, text in zip(names, texts[1:], strict=True))

    def check(self, names: Collection[str], where: str) -> None:
        """Refuse a path that lacks a parameter.

        Raises:
            ConfigurationError: which one, and of which route.
        """
        missing = ", ".join(sorted(self.names - set(names)))
        if missing:
            raise ConfigurationError(f"{where} has no path parameter {missing}, which {self.text!r} names")

    def fill(self, values: Mapping[str, object]) -> str:
        """Put path parameters in.

        Raises:
            ConfigurationError: one is missing.
            ForbiddenError: a value holds the character that ends its field, so that it could mean another resource.
        """
        filled = self._head
        for name, following, end in self._fields:
            if name not in values:
                self.check(values, "the route")
            value = str(values[name])
            if end and end in value:
                raise ForbiddenError(f"path parameter {name} may not hold {end!r}")
            filled += value + following
        return filled
