"""What the navigation leads to."""

from dataclasses import dataclass

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Area:
    """A place of the navigation, shown to those who may open it."""

    page: str
    title: str
    words: str
    needs: tuple[Pair, ...]
    """All of them."""

    def holds(self, page: str) -> bool:
        """Whether a page belongs to it."""
        return page.split("/")[1] == self.page.split("/")[1]


OWN_PASSWORD = "/resetmypassword/form"
AREAS = (
    Area("/users/list/", "Users", "Who may log in, and with which roles.", (("can_read", "Users"),)),
    Area("/roles/list/", "Roles", "What those who hold them may do.", (("can_read", "Roles"),)),
    Area(
        OWN_PASSWORD,
        "Change my password",
        "Needs the present one, and ends your other logins.",
        (("can_read", "My Password"), ("can_edit", "My Password")),
    ),
)
