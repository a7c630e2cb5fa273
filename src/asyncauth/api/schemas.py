"""What requests and answers hold. The first half has FAB's names and form to the letter."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, WithJsonSchema

from asyncauth.admin import ApiKeyInfo, AuditRecord, Explanation, GroupInfo, RoleInfo, UserInfo
from asyncauth.model import Permission
from asyncauth.passwords import MAX_PASSWORD_BYTES

LocalTime = Annotated[datetime, WithJsonSchema({"type": "string", "examples": ["2026-01-31T12:00:00.123456"]})]
"""As FAB stores it, without a zone: no `date-time` of JSON Schema's, which has one (RFC 3339)."""


class _Open(BaseModel):
    model_config = ConfigDict(populate_by_name=True, from_attributes=True)


class _Strict(_Open):
    model_config = ConfigDict(extra="forbid")


# ── FAB's ──


class Action(_Open):
    """The name of an action."""

    name: str = Field(examples=["can_read"])


class Resource(_Open):
    """The name of a resource."""

    name: str = Field(examples=["DAG:etl"])


class ActionResource(_Open):
    """A permission."""

    action: Action
    resource: Resource


class Role(_Open):
    """A role that a user holds."""

    name: str = Field(examples=["Viewer"])


class RoleBody(_Strict):
    """A role to be made or changed."""

    name: str = Field(min_length=1, examples=["Auditor"])
    permissions: list[ActionResource] = Field(default_factory=list, alias="actions")

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The permissions as use cases take them."""
        return [(one.action.name, one.resource.name) for one in self.permissions]


class RoleResponse(_Open):
    """A role."""

    name: str = Field(examples=["Auditor"])
    permissions: list[ActionResource] = Field(serialization_alias="actions")

    @classmethod
    def of(cls, role: RoleInfo) -> "RoleResponse":
        """As FAB shows it."""
        return cls(name=role.name, permissions=action_resources(role.permissions))


class RoleCollectionResponse(_Open):
    """A page of roles."""

    roles: list[RoleResponse]
    total_entries: int = Field(description="How many there are on all pages.")


class PermissionCollectionResponse(_Open):
    """A page of permissions."""

    permissions: list[ActionResource] = Field(serialization_alias="actions")
    total_entries: int = Field(description="How many there are on all pages.")


_PASSWORD: dict[str, Any] = {"minLength": 1, "maxLength": MAX_PASSWORD_BYTES // 4}
"""Said, and not looked at here: it is measured in bytes. A character takes at most four."""


class UserBody(_Strict):
    """A user to be made."""

    username: str = Field(min_length=1, examples=["ada"])
    email: str = Field(min_length=1, examples=["ada@example.com"])
    first_name: str = Field(min_length=1, examples=["Ada"])
    last_name: str = Field(min_length=1, examples=["Lovelace"])
    roles: list[Role] | None = None
    password: SecretStr = Field(json_schema_extra=_PASSWORD)


class UserPatchBody(_Strict):
    """What is to be changed of a user; null and what is left out stay."""

    username: str | None = Field(default=None, min_length=1)
    email: str | None = Field(default=None, min_length=1)
    first_name: str | None = Field(default=None, min_length=1)
    last_name: str | None = Field(default=None, min_length=1)
    roles: list[Role] | None = Field(default=None, description="All that the user holds afterwards.")
    password: SecretStr | None = Field(default=None, description="Ends the user's tokens.")


class UserResponse(_Open):
    """A user, without the password. Times without a zone are the server's local time."""

    username: str = Field(examples=["ada"])
    email: str = Field(examples=["ada@example.com"])
    first_name: str
    last_name: str
    roles: list[Role] | None = None
    active: bool | None = None
    last_login: LocalTime | None = None
    login_count: int | None = None
    fail_login_count: int | None = None
    created_on: LocalTime | None = None
    changed_on: LocalTime | None = None

    @classmethod
    def of(cls, user: UserInfo) -> "UserResponse":
        """As FAB shows it."""
        fields = {name: getattr(user, name) for name in cls.model_fields if name != "roles"}
        return cls(**fields, roles=[Role(name=name) for name in user.roles])


class UserCollectionResponse(_Open):
    """A page of users."""

    users: list[UserResponse]
    total_entries: int = Field(description="How many there are on all pages.")


class LoginResponse(_Open):
    """A token: send it as `Authorization: Bearer …`."""

    access_token: str


def action_resources(permissions: tuple[Permission, ...]) -> list[ActionResource]:
    """Permissions as FAB shows them."""
    return [ActionResource(action=Action(name=one.action), resource=Resource(name=one.resource)) for one in permissions]


# ── ours ──


class PermissionModel(_Open):
    """A permission."""

    model_config = ConfigDict(title="Permission")

    action: str = Field(min_length=1, examples=["can_read"])
    resource: str = Field(min_length=1, examples=["DAG:etl"])


class UserPermissionsResponse(_Open):
    """Everything that a user may do while active."""

    permissions: list[PermissionModel]


class ExplainBody(_Strict):
    """A question."""

    username: str = Field(min_length=1, examples=["ada"])
    action: str = Field(min_length=1, examples=["can_edit"])
    resource: str = Field(min_length=1, examples=["DAG:etl"])


class HeldRoleModel(_Open):
    """A role that the user holds."""

    model_config = ConfigDict(title="HeldRole")

    name: str
    group: str | None = Field(description="The group that carries it; null: granted to the user.")
    counts: bool = Field(description="False: roles of groups do not count here.")
    permits: bool = Field(description="Whether it holds the permission that was asked for.")


class ExplainResponse(_Open):
    """The answer, and what decides it."""

    username: str
    action: str
    resource: str
    allowed: bool
    reason: str = Field(examples=["role `Editor` allows `can_edit` on `DAG:etl`"])
    active: bool
    stored: bool = Field(description="Whether such a permission is stored at all; if not, no role can hold it.")
    roles: list[HeldRoleModel]

    @classmethod
    def of(cls, found: Explanation) -> "ExplainResponse":
        """From the use case."""
        return cls.model_validate(found)


class RegisterBody(_Strict):
    """Somebody who wants an account."""

    username: str = Field(min_length=1, examples=["ada"])
    email: str = Field(min_length=1, examples=["ada@example.org"])
    first_name: str = ""
    last_name: str = ""
    password: SecretStr


class TokenAndPasswordBody(_Strict):
    """A link's token, and the password that goes with it."""

    token: str
    password: SecretStr


class EmailBody(_Strict):
    """Where the link is to be sent."""

    email: str = Field(min_length=1, examples=["ada@example.org"])


class GroupBody(_Strict):
    """A group to be made."""

    name: str = Field(min_length=1, examples=["staff"])
    label: str | None = None
    description: str | None = None
    roles: list[str] = Field(default_factory=list, description="Names of the roles that it carries.")


class GroupResponse(_Open):
    """A group."""

    name: str = Field(examples=["staff"])
    label: str | None
    description: str | None
    roles: list[str]
    members: int = Field(description="How many.")

    @classmethod
    def of(cls, group: GroupInfo) -> "GroupResponse":
        """From the use case."""
        return cls.model_validate(group)


class GroupCollectionResponse(_Open):
    """A page of groups."""

    groups: list[GroupResponse]
    total_entries: int


class MemberCollectionResponse(_Open):
    """A page of user names."""

    members: list[str]
    total_entries: int


class ApiKeyBody(_Strict):
    """A key to be made."""

    name: str = Field(min_length=1, examples=["nightly export"])
    scopes: list[PermissionModel] | None = Field(
        default=None, description="To what the owner's permissions are narrowed; null: not at all."
    )
    expires_at: int | None = Field(default=None, description="Seconds since the epoch; null: it does not expire.")


class NewApiKeyResponse(_Open):
    """A key that was just made."""

    id: int
    key: str = Field(description="Send it as `Authorization: Bearer …`. It is shown this once.")


class ApiKeyResponse(_Open):
    """A key, without its secret. Times in seconds since the epoch."""

    id: int
    name: str
    scopes: list[PermissionModel] | None
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None

    @classmethod
    def of(cls, key: ApiKeyInfo) -> "ApiKeyResponse":
        """From the use case."""
        return cls.model_validate(key)


class ApiKeyCollectionResponse(_Open):
    """All keys of a user, the oldest first."""

    api_keys: list[ApiKeyResponse]


SubjectKind = Literal["user", "role", "permission", "group", "api_key"]


class AuditRecordResponse(_Open):
    """One change. Names are those of that moment."""

    id: int
    at: int = Field(description="Seconds since the epoch.")
    actor_id: int | None
    actor: str | None = Field(description="null: the system.")
    address: str | None
    what: str = Field(examples=["grant_role"])
    subject_kind: str
    subject_id: int | None
    subject: str
    before: dict[str, Any] | None = Field(description="Of what changed only.")
    after: dict[str, Any] | None = Field(description="Of what changed only.")

    @classmethod
    def of(cls, record: AuditRecord) -> "AuditRecordResponse":
        """From the use case."""
        return cls.model_validate(record)


class AuditCollectionResponse(_Open):
    """A page of changes."""

    records: list[AuditRecordResponse]
    total_entries: int
