"""Errors of ours in words for the page."""

from dataclasses import dataclass

from asyncauth.errors import (
    AuthError,
    ChangedMeanwhileError,
    CrossOriginError,
    ForbiddenError,
    LastAdministratorError,
    TooManyAttemptsError,
    UnauthenticatedError,
    UnavailableError,
)

_FIELDS = {
    "the user name": "username",
    "the e-mail": "email",
    "the first name": "first_name",
    "the last name": "last_name",
    "the password": "password",
    "the role name": "name",
}
"""How messages of use cases begin that are about one field."""
_WORDS: dict[type[AuthError], str] = {
    CrossOriginError: (
        "The request did not come from a page of this site, or a proxy in front hides how this site is reached: "
        "the server has to be told the outer scheme and host"
    ),
    ChangedMeanwhileError: "Somebody else changed this meanwhile: look it through and send it again",
    LastAdministratorError: "Nobody would be left who can manage the others: this is the last active administrator",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, and where."""

    status: int
    message: str
    field: str | None = None
    """The input that it is about; None: no single one."""
    retry_after_seconds: int | None = None


def problem_of(error: AuthError) -> Problem:
    """Put an error into words. The only place of the pages that does.

    Raises:
        AuthError: `error` itself, where it is a mistake on the server (status 500).
    """
    if error.status == 500:
        raise error
    if isinstance(error, TooManyAttemptsError | UnavailableError):
        seconds = error.retry_after_seconds
        words = _sentence(error.public_message.partition(";")[0])
        return Problem(error.status, f"{words} Try again in {_count(seconds)}.", None, seconds)
    text = str(error) if not isinstance(error, UnauthenticatedError) else error.public_message
    field = next((name for start, name in _FIELDS.items() if text.startswith(start)), None)
    words = next((words for kind, words in _WORDS.items() if isinstance(error, kind)), text)
    return Problem(error.status, _sentence(words), field)


def page_title(error: AuthError) -> str:
    """The heading of a page that is nothing but an error."""
    if isinstance(error, UnauthenticatedError):
        return "You are not logged in"
    if isinstance(error, ForbiddenError):
        return "You may not do this"
    titles = {404: "Not found", 413: "Too much", 503: "Not just now"}
    return titles.get(error.status, "This did not work")


def _sentence(text: str) -> str:
    plain = text.strip().replace("`", "'")
    return plain[:1].upper() + plain[1:] + ("" if plain.endswith((".", "?", "!")) else ".")


def _count(seconds: int) -> str:
    if seconds < 120:
        return "a second" if seconds == 1 else f"{seconds} seconds"
    return f"{-(-seconds // 60)} minutes"
