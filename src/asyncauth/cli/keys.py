"""`asyncauth keys`: make and rotate the keys that sign tokens."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from asyncauth.tokens.jwks import public_jwk
from asyncauth.tokens.keys import Key
from asyncauth.tokens.keyset import KeySet
from asyncauth.tokens.rotation import KINDS, Pace, create_file, make_key, read_keys, rotate_file

app = typer.Typer(help="Make and rotate the keys that sign tokens.", no_args_is_help=True)
Where = Annotated[
    Path,
    typer.Option("--path", envvar="ASYNCAUTH_JWT_KEYS_PATH", metavar="FILE", help="The file of keys."),
]
Algorithm = Annotated[str | None, typer.Option(metavar="NAME", help=f"One of {', '.join(KINDS)}.")]
Refresh = Annotated[
    float,
    typer.Option(
        envvar="ASYNCAUTH_JWT_KEYS_REFRESH_SECONDS", min=1, help="How often the servers read the file, as in settings."
    ),
]
Life = Annotated[
    float,
    typer.Option(
        envvar="ASYNCAUTH_JWT_EXPIRATION_SECONDS", min=1, help="How long tokens live, as in the servers' settings."
    ),
]


@app.command()
def generate(
    path: Where,
    algorithm: Algorithm = None,
    after_seconds: Annotated[
        float,
        typer.Option(min=0, help="Begin to sign only then: while servers restart that had another key before."),
    ] = 0,
) -> None:
    """Make the file with a first key, readable for its owner alone."""
    key = make_key(algorithm or "EdDSA", time.time() + after_seconds)
    create_file(path, key)
    typer.echo(f"{path}: key {key.kid}, {key.algorithm}")


@app.command()
def rotate(
    path: Where,
    algorithm: Algorithm = None,
    refresh_seconds: Refresh = 60,
    token_seconds: Life = 86_400,
) -> None:
    """Add a key that begins to sign once every server has had time to learn it; drop keys whose last token has expired.
    No server has to be restarted."""
    now = time.time()
    pace = Pace(refresh_seconds, token_seconds)
    new = make_key(algorithm or read_keys(path)[-1].algorithm, now + pace.learn_seconds)
    before, after = rotate_file(path, new, now, pace)
    typer.echo(f"added key {new.kid}, {new.algorithm}: signs in {pace.learn_seconds} s")
    for key in before:
        if key not in after:
            typer.echo(f"dropped key {key.kid}")


@app.command()
def show(
    path: Where,
    public: Annotated[bool, typer.Option("--public", help="Print the public keys as a JWK set instead.")] = False,
) -> None:
    """Print which key signs, and since when or from when. Never a secret."""
    keys = read_keys(path)
    if public:
        found = (public_jwk(key) for key in keys)
        typer.echo(json.dumps({"keys": [jwk for jwk in found if jwk is not None]}, indent=1))
        return
    now = time.time()
    signing = KeySet(keys).signing(now)
    for key in keys:
        typer.echo(f"{key.kid}  {key.algorithm:<6}  {_state(key, signing, now)}")


def _state(key: Key, signing: Key, now: float) -> str:
    if key is signing:
        return "signs"
    return "verifies" if key.signs_from <= now else f"signs in {int(key.signs_from - now) + 1} s"
