"""What somebody types in, for the frameworks that do not validate by themselves."""

import json

from asyncauth.errors import InvalidValueError


def parse_credentials(body: bytes) -> tuple[str, str]:
    """User name and password. Raises InvalidValueError (400)."""
    try:
        match json.loads(body):
            case {"username": str(username), "password": str(password)}:
                return username, password
    except ValueError:
        pass
    raise InvalidValueError('send {"username": "…", "password": "…"}')
