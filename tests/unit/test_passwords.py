"""Password hashes: right by the published vectors, werkzeug's own, and whatever a hostile row may hold."""

import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from asyncauth import passwords
from asyncauth.errors import ConfigurationError
from asyncauth.hasher import PasswordHasher
from asyncauth.passwords import (
    MAX_PASSWORD_BYTES,
    Scheme,
    check,
    is_usable,
    make,
    new_scheme,
    parse_scheme,
)

EMPTY = "scrypt:1024:8:1$NaCl$" + Scheme("", n=1024, r=8, p=1).compute(b"", "NaCl")
"""What FAB stores for users of LDAP and OAuth: the hash of the empty password."""

RFC_7914_SCRYPT = [
    (16, 1, 1, b"", "", "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"),  # noqa: E501
    (1024, 8, 16, b"password", "NaCl", "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"),  # noqa: E501
    (16384, 8, 1, b"pleaseletmein", "SodiumChloride", "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"),  # noqa: E501
]  # fmt: skip
PBKDF2 = [  # RFC 6070 section 2 and RFC 7914 section 11, cut to the bytes of the digest
    ("sha1", 1, b"password", "salt", "0c60c80f961f0e71f3a9b524af6012062fe037a6"),
    ("sha1", 2, b"password", "salt", "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"),
    ("sha1", 4096, b"password", "salt", "4b007901b765489abead49d926f721d065a429c1"),
    (
        *("sha1", 4096, b"passwordPASSWORDpassword", "saltSALTsaltSALTsaltSALTsaltSALTsalt"),
        "3d2eec4fe41c849b80c8d83662c0e44a8b291a96",
    ),
    ("sha1", 4096, b"pass\0word", "sa\0lt", "56fa6aa75548099dcc37d7f03425e0c3"),
    ("sha256", 1, b"passwd", "salt", "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"),
    ("sha256", 80000, b"Password", "NaCl", "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"),
]
WERKZEUG = [  # generate_password_hash("correct horse é", method) of werkzeug 3.1
    "scrypt:32768:8:1$BswHaqrKPOpaFf8W$b0b8155b477deefa118f83751813a60372da1c07300607d720a01ca85bd0edb63013af7bbd6e1fea04c0fb1df8e81de426747ca924726933f9831a5379990145",
    "scrypt:1024:8:1$X3xcInZTsmZTNKM7$44d35a80a7f6c0ad8f751279137e6f021bb508034ccc5d058dc412ca25e41ceb779c035d85d3d666f2c71a85cf54e329dff59d416dddfaa15cc972ec91603c02",
    "pbkdf2:sha256:1000000$Dhmh3eDDr5Fz07xy$6140c76dd16be05d64d4b112ab7b7f5f29f25f16d9ff131d910fbd511a77fff4",
    "pbkdf2:sha256:600000$yiU0Fnm1BR9nT0hr$88d91754152f4b0d40300d80169ec69b5a9e00e4209b0d76b2f7e164b7f60cdf",
    "pbkdf2:sha1:1000$J4FLFWIIlTKovxJ0$b32ee4e900131874f1d0a86e7a918e0cf3952b5b",
    "pbkdf2:sha512:1000$TXA1K9QYTpsIKbJ3$ccb08f543411e6b089e22d8c859b6d2180045871ff9580d6a7fe6b3c2930afe8eaddd30be8abea2652328490a719ef288e447826b7fdcd9447acf53edf6820b9",
]  # fmt: skip


@pytest.mark.parametrize(("n", "r", "p", "password", "salt", "expected"), RFC_7914_SCRYPT)
def test_scrypt_vectors(n: int, r: int, p: int, password: bytes, salt: str, expected: str) -> None:
    """The vectors of RFC 7914 section 12 come out."""
    assert Scheme("", n=n, r=r, p=p).compute(password, salt) == expected


@pytest.mark.parametrize(("digest", "iterations", "password", "salt", "expected"), PBKDF2)
def test_pbkdf2_vectors(digest: str, iterations: int, password: bytes, salt: str, expected: str) -> None:
    """The vectors of RFC 6070 and of RFC 7914 section 11 come out."""
    computed = Scheme("", digest=digest, iterations=iterations).compute(password, salt)
    assert computed[: len(expected)] == expected  # one of RFC 6070 is of 16 bytes


@pytest.mark.parametrize("stored", WERKZEUG, ids=lambda stored: stored.split("$")[0])
def test_werkzeug_hashes_are_read(stored: str) -> None:
    """A hash that werkzeug made verifies its password and nothing near it."""
    assert check(stored, "correct horse é")
    assert not check(stored, "correct horse e")
    assert not check(stored[:-1], "correct horse é")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scrypt", Scheme("scrypt", n=32768, r=8, p=1)),
        ("pbkdf2", Scheme("pbkdf2", digest="sha256", iterations=1_000_000)),
        ("pbkdf2:sha512", Scheme("pbkdf2:sha512", digest="sha512", iterations=1_000_000)),
    ],
)
def test_default_forms(text: str, expected: Scheme) -> None:
    """Methods without parameters mean werkzeug's defaults."""
    assert parse_scheme(text) == expected


def test_a_new_hash_verifies() -> None:
    """What `make` makes is werkzeug's scrypt form with a salt of its own, fits the column, and verifies."""
    stored, other = make("correct horse"), make("correct horse")
    assert stored.startswith("scrypt:32768:8:1$")
    assert len(stored) <= 256
    assert stored != other
    assert check(stored, "correct horse")
    assert not check(stored, "correct horse ")


@pytest.mark.parametrize(
    "text",
    [
        "scrypt:1048576:8:16",  # 17 GB
        "scrypt:32768:8:1000",
        "scrypt:4194304:1:1",
        f"scrypt:{2**62}:8:1",
        f"scrypt:{'9' * 5000}:8:1",
        "scrypt:32767:8:1",
        "scrypt:1:8:1",
        "scrypt:0:8:1",
        "scrypt:-32768:8:1",
        "scrypt:-32768:-8:1",
        "scrypt:32768:0:1",
        "scrypt:32768:8:0",
        "scrypt:32768:8",
        "scrypt:32768:8:1:1",
        "scrypt:32768:8:",
        "scrypt:٣٢٧٦٨:8:1",
        "scrypt:\uff13\uff12\uff17\uff16\uff18:8:1",
        "scrypt:²:8:1",
        "scrypt:32_768:8:1",
        "scrypt: 32768:8:1",
        "scrypt:+32768:8:1",
        "scrypt:32768.0:8:1",
        "SCRYPT:32768:8:1",
        "pbkdf2:sha256:0",
        "pbkdf2:sha256:-1",
        "pbkdf2:sha256:5000001",
        "pbkdf2:sha256:",
        "pbkdf2:sha256:1:1",
        "pbkdf2:md5:1000",
        "pbkdf2:shake_128:1000",
        "pbkdf2::1000",
        "plain",
        "sha256",
        "argon2",
        "argon2id",
        "argon2id:19456:2",
        "argon2id:19456:2:0",
        "argon2id:19456:0:1",
        "argon2id:19456:21:1",
        "argon2id:19456:2:17",
        "argon2id:15:2:2",
        "argon2id:262145:1:1",
        "argon2id:-19456:2:1",
        f"argon2id:{'9' * 5000}:2:1",
        "argon2i:19456:2:1",
        "$2b$12",
        "",
    ],
)
def test_schemes_that_are_refused(text: str) -> None:
    """Whatever is no known scheme, is no plain number, or asks for too much work is not computed."""
    assert parse_scheme(text) is None


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[Scheme]:
    """The schemes computed, in order; computing costs nothing here."""
    done: list[Scheme] = []

    def compute(scheme: Scheme, password: bytes, salt: str) -> str:
        done.append(scheme)
        return "00"

    monkeypatch.setattr(Scheme, "compute", compute)
    return done


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "",
        "$",
        "$$",
        "$$$$",
        "plain$salt$00",
        "scrypt:32768:8:1",
        "scrypt:32768:8:1$",
        "scrypt:32768:8:1$salt",
        "scrypt:32768:8:1$salt$",
        "scrypt:1048576:8:16$salt$00",
        "correct horse",
    ],
)
def test_a_stored_hash_that_cannot_be_checked_costs_a_hash(stored: str | None, computed: list[Scheme]) -> None:
    """Without a usable stored hash one hash with the default parameters is computed, and the answer is no."""
    assert not check(stored, "correct horse")
    assert computed == [passwords.DEFAULT_SCHEME]


@pytest.mark.parametrize(
    "stored",
    [
        "scrypt:2:1:1$salt$00",
        "scrypt:2:1000000:1$salt$00",  # more memory than its product says
        "scrypt:65536:1:1$salt$00",  # N has to be below 2^(128 r / 8)
        "scrypt:1024:8:1$\ud800$00",
        "scrypt:1024:8:1$salt$\ud800",
        "scrypt:1024:8:1$salt$zz",
        "scrypt:1024:8:1$$00",
        "pbkdf2:sha256:1$salt$é",
    ],
)
def test_a_hostile_stored_hash_is_a_no(stored: str) -> None:
    """A row with parameters that OpenSSL refuses, or with text that is no hash, is a wrong password and no error."""
    assert not check(stored, "correct horse")


def test_the_answer_is_the_same_for_a_digest_that_is_longer_or_shorter(computed: list[Scheme]) -> None:
    """Only the whole digest matches: not a part of it, not more than it."""
    assert check("scrypt$salt$00", "correct horse")
    assert not check("scrypt$salt$0", "correct horse")
    assert not check("scrypt$salt$000", "correct horse")
    assert not check("scrypt$salt$00$", "correct horse")


@pytest.mark.parametrize(
    "password", ["", "\0", "\0" * 64, "\0" * 65, "\ud800", "x" * (MAX_PASSWORD_BYTES + 1), "é" * 2049]
)
def test_passwords_that_are_never_looked_at(password: str) -> None:
    """Nothing, NULs alone, what is no text, and more than 4 KiB are no passwords."""
    assert not is_usable(password)


@pytest.mark.parametrize("password", [" ", "\0a", "a\0", "x" * MAX_PASSWORD_BYTES, "é" * 2048, "\n"])
def test_passwords_that_are_looked_at(password: str) -> None:
    """Any other text is."""
    assert is_usable(password)


def test_nul_passwords_would_open_hashes_of_the_empty_one() -> None:
    """HMAC pads with zeros: this is why a password of NULs alone is unusable."""
    assert check(EMPTY, "")
    assert check(EMPTY, "\0" * 8)
    assert not is_usable("\0" * 8)


# ── better hashes ──


def scheme(text: str) -> Scheme:
    """A scheme that is known."""
    found = parse_scheme(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("old", "new", "weaker"),
    [
        ("scrypt:32768:8:1", "scrypt:131072:8:1", True),
        ("scrypt:32768:8:1", "scrypt:32768:8:3", True),
        ("scrypt", "scrypt:32768:8:1", False),
        ("scrypt:131072:8:1", "scrypt:32768:8:1", False),
        ("scrypt:32768:8:3", "scrypt:65536:8:1", False),
        ("pbkdf2:sha256:600000", "pbkdf2:sha256:1000000", True),
        ("pbkdf2", "pbkdf2:sha256:1000000", False),
        ("pbkdf2:sha1:5000000", "pbkdf2:sha256:600000", True),
        ("pbkdf2:sha512:210000", "pbkdf2:sha256:600000", False),
        ("pbkdf2:sha256:5000000", "scrypt:32768:8:1", True),
        ("scrypt:2:1:1", "pbkdf2:sha256:1000000", False),
        ("scrypt:131072:8:1", "argon2id:19456:2:1", True),
        ("pbkdf2:sha256:5000000", "argon2id:19456:2:1", True),
        ("argon2id:8:1:1", "scrypt:131072:8:1", False),
        ("argon2id:8:1:1", "pbkdf2:sha256:1000000", False),
        ("argon2id:19456:2:1", "argon2id:19456:3:1", True),
        ("argon2id:19456:2:1", "argon2id:19456:2:2", False),
    ],
)
def test_what_is_weaker(old: str, new: str, weaker: bool) -> None:
    """Less work of one kind; PBKDF2 beside scrypt; what cannot be compared is left alone."""
    assert scheme(old).is_weaker(scheme(new)) is weaker
    hasher = PasswordHasher(concurrency=1, queue_size=0, queue_seconds=1, scheme=scheme(new))
    assert hasher.is_weak(f"{old}$salt$00") is weaker
    assert not hasher.is_weak(None)
    assert not hasher.is_weak("argon2$salt$00")


def test_the_default_leaves_another_kind_alone() -> None:
    """FAB may have been told to make PBKDF2, on a machine without scrypt."""
    hasher = PasswordHasher(concurrency=1, queue_size=0, queue_seconds=1)
    assert hasher.is_weak("scrypt:16384:8:1$salt$00")
    assert not hasher.is_weak("pbkdf2:sha256:1000$salt$00")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("scrypt:1024:8:1", "scrypt:4096:8:1"),
        ("scrypt:1024:8:1", "scrypt:1024:8:3"),
        ("scrypt:2:1:1", "scrypt:1024:8:1"),
        ("pbkdf2:sha256:10", "pbkdf2:sha256:1000"),
        ("argon2id:64:1:1", "argon2id:64:3:1"),
    ],
)
def test_a_wrong_password_costs_the_same_under_an_old_hash(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work of the old and of what is added is that of a new one, as it is for whoever does not exist."""
    done: list[Scheme] = []
    compute = Scheme.compute
    stored = f"{old}$saltsalt${compute(scheme(old), b'correct horse', 'saltsalt')}"

    def note(scheme: Scheme, password: bytes, salt: str) -> str:
        done.append(scheme)
        return compute(scheme, password, salt)

    monkeypatch.setattr(Scheme, "compute", note)
    for row, password in ((stored, "wrong"), (None, "wrong")):
        done.clear()
        assert not check(row, password, scheme(new))
        assert sum(one.work for one in done) == scheme(new).work
        assert {one.digest for one in done} == {scheme(new).digest}
    done.clear()
    assert check(stored, "correct horse", scheme(new))
    assert done == [scheme(old)]


def test_argon2() -> None:
    """The reference implementation's own vector; and in the form of the others, of which FAB reads none like it."""
    expected = "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"
    assert scheme("argon2id:65536:2:1").compute(b"password", "somesalt") == expected
    stored = make("correct horse", scheme("argon2id:64:1:2"))
    assert stored.startswith("argon2id:64:1:2$")
    assert len(stored) <= 256
    assert check(stored, "correct horse")
    assert not check(stored, "correct horse ")
    assert not check(stored.replace("$", "$x", 1)[:22], "correct horse")


def test_an_openssl_without_argon2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said when it is configured; a hash that is stored is no match, and costs one all the same."""

    def refuse(**_: object) -> None:
        raise UnsupportedAlgorithm("no")

    stored = make("correct horse", scheme("argon2id:64:1:1"))
    monkeypatch.setattr(passwords, "Argon2id", refuse)
    with pytest.raises(ConfigurationError, match=r"needs OpenSSL 3\.2"):
        new_scheme("argon2id:19456:2:1")
    assert not check(stored, "correct horse", scheme("scrypt:16:1:1"))


def test_new_hashes_are_as_configured() -> None:
    """In werkzeug's form, which FAB reads."""
    stored = make("correct horse", scheme("pbkdf2:sha512:1000"))
    assert stored.startswith("pbkdf2:sha512:1000$")
    assert check(stored, "correct horse")


@pytest.mark.parametrize(
    "text",
    [
        *("scrypt:131072:8:1", "scrypt:32768:8:3", "pbkdf2:sha256:600000", "pbkdf2:sha512:210000"),
        *("argon2id:19456:2:1", "argon2id:7168:5:1", "argon2id:47104:1:1", "argon2id:65536:3:4"),
    ],
)
def test_methods_for_new_hashes(text: str) -> None:
    """OWASP's, among others."""
    assert new_scheme(text) == parse_scheme(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "scrypt", "pbkdf2", "argon2", "scrypt:32768:8", "scrypt:1048576:8:16"),
        *("scrypt:16384:8:1", "scrypt:2:1:1", "pbkdf2:sha256:599999", "pbkdf2:sha512:1", "pbkdf2:sha1:1000000"),
        *("argon2id:19456:1:1", "argon2id:8:1:1", "argon2id:19456:2"),
    ],
)
def test_weak_methods_are_refused(text: str) -> None:
    """By the name of the setting."""
    with pytest.raises(ConfigurationError, match=r"^password_hash_method .*at least scrypt:32768:8:1"):
        new_scheme(text)
