"""Who Airflow thinks is asking: a frozen user of ours with the two methods that core calls."""

from typing import Final

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser

from asyncauth.model import Claims, Role, User

ANONYMOUS_ID: Final = "anonymous"


class AirflowUser(BaseUser):
    """A user as of one moment. What Airflow decides later, it decides on the user as known then.

    Args:
        user: the snapshot.
        claims: of the token that was shown; None: made without one.
        renewed: the token with which the browser should go on, see `AsyncAuthManager.refresh_user`.
        public: nobody has logged in; `user` holds the public role.
    """

    __slots__ = ("claims", "public", "renewed", "user")

    def __init__(
        self, user: User, claims: Claims | None = None, *, renewed: str | None = None, public: bool = False
    ) -> None:
        self.user = user
        self.claims = claims
        self.renewed = renewed
        self.public = public

    def get_id(self) -> str:
        """What core stores as "who": the id in decimal digits."""
        return ANONYMOUS_ID if self.public else str(self.user.id)

    def get_name(self) -> str:
        """What people see: the user name."""
        return self.user.username

    # What plugins read of FAB's user.

    @property
    def id(self) -> int | None:
        """The id in `ab_user`."""
        return None if self.public else self.user.id

    @property
    def username(self) -> str:
        """The user name."""
        return self.user.username

    @property
    def email(self) -> str:
        """The e-mail."""
        return self.user.email

    @property
    def first_name(self) -> str:
        """The first name."""
        return self.user.first_name

    @property
    def last_name(self) -> str:
        """The last name."""
        return self.user.last_name

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles, each with a `name`."""
        return self.user.roles

    @property
    def perms(self) -> set[tuple[str, str]]:
        """All pairs of action and resource, made on each call."""
        pairs = (key.split("\0") for role in self.user.roles for key in role.keys)
        return {(action, resource) for action, resource in pairs}

    @property
    def is_active(self) -> bool:
        """Whether the user may log in."""
        return self.user.active

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody has logged in."""
        return self.public

    def __repr__(self) -> str:
        return f"<AirflowUser {self.get_id()}>"


def make_public_user(role: Role | None) -> AirflowUser:
    """Whoever comes without credentials, where `[fab] auth_role_public` names a role; None: one that does not exist."""
    return AirflowUser(User(0, ANONYMOUS_ID, () if role is None else (role,)), public=True)
