"""`DAG:{dag_id}`: the name of a resource with path parameters in it."""

from collections.abc import Collection, Mapping
from string import Formatter

from asyncauth.errors import ConfigurationError, ForbiddenError


class ResourceTemplate:
    """Text with `{name}` fields, and nothing else of what `str.format` knows: no attributes, indexes or formats.

    Different values never make the same resource: where text follows a field, its first character may not stand in
    the value, and two fields need text between them.

    Raises:
        ConfigurationError: the text is no such template.
    """

    __slots__ = ("_parts", "_tail", "names", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            fields = list(Formatter().parse(text))
        except ValueError as error:
            raise ConfigurationError(f"{text!r} is not a resource template: {error}") from None
        self._tail = ""
        parts: list[tuple[str, str]] = []
        for literal, name, spec, conversion in fields:
            if name is None:
                self._tail = literal
                continue
            if not name.isidentifier() or spec or conversion:
                raise ConfigurationError(f"{text!r} is not a resource template: write fields as {{name}}")
            if parts and not literal:
                raise ConfigurationError(f"{text!r} is not a resource template: put text between the fields")
            parts.append((literal, name))
        followers = [literal[0] for literal, _ in parts[1:]] + [self._tail[:1]]
        self._parts = tuple((literal, name, after) for (literal, name), after in zip(parts, followers, strict=False))
        self.names = frozenset(name for _, name in parts)

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
            ForbiddenError: a value holds the character that ends its field, so that no resource can be meant.
        """
        self.check(values, "the route")
        filled = []
        for literal, name, after in self._parts:
            value = str(values[name])
            if after and after in value:
                raise ForbiddenError(f"path parameter {name} may not hold {after!r}")
            filled += [literal, value]
        return "".join(filled) + self._tail
