"""The keys that sign our tokens: a secret or a PEM file in the settings, or a file of keys that rotate."""

from asyncauth.settings import Settings
from asyncauth.tokens.keys import load_key
from asyncauth.tokens.keyset import KeySet


def load_keys(settings: Settings) -> KeySet:
    """All keys that `settings` describe. Reads files: not on the event loop.

    Raises:
        ConfigurationError: no key, a weak one, or one that does not fit the algorithm.
    """
    return KeySet([load_key(settings)])
