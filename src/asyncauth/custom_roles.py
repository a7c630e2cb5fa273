"""Roles of one's own, as a setting describes them: FAB's JSON format of `[fab] custom_roles`."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from asyncauth.errors import ConfigurationError

__all__ = ["CustomPermission", "CustomRoles"]


def _printable(name: str) -> str:
    if not name.strip() or not name.isprintable():
        raise ValueError("is empty or holds control characters")
    return name


_Text = Annotated[str, Field(min_length=1), AfterValidator(_printable)]


class CustomPermission(BaseModel):
    """One thing that a role may do."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    action: Annotated[_Text, Field(max_length=100)]
    resource: Annotated[_Text, Field(max_length=250)]


CustomRoles = Mapping[Annotated[_Text, Field(max_length=64)], tuple[CustomPermission, ...]]
"""`{"Auditor": [{"action": "can_read", "resource": "Audit Logs"}]}`."""
_ADAPTER: TypeAdapter[CustomRoles] = TypeAdapter(CustomRoles)


def read_custom_roles(text: str) -> CustomRoles:
    """The roles that JSON describes.

    Raises:
        ConfigurationError: it is not JSON, or of another form.
    """
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise ConfigurationError(
            f'custom roles are written {{"role": [{{"action": "…", "resource": "…"}}]}}: {place}: {problem["msg"]}'
        ) from None
