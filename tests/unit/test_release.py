"""What `make dist` refuses: it has to be able to fail."""

import io
import re
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest
from tools.release import build, contents, lowest, programs
from tools.release.programs import ROOT, CheckError

SOURCES = {"src/asyncauth/__init__.py", "src/asyncauth/py.typed", "migrations/env.py", "README.md"}
INFO = f"asyncauth-{contents.version()}.dist-info"
WHEEL = {
    *("asyncauth/__init__.py", "asyncauth/py.typed", "asyncauth/migrations/env.py"),
    *(f"{INFO}/{name}" for name in contents.METADATA),
}


def zipped(path: Path, names: set[str]) -> Path:
    """A wheel with these empty files."""
    with ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return path


def tarred(path: Path, names: set[str]) -> Path:
    """An sdist with these empty files."""
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(f"asyncauth-0/{name}"), io.BytesIO())
    return path


def test_a_wheel_is_as_it_should_be(tmp_path: Path) -> None:
    contents.check_wheel(zipped(tmp_path / "a.whl", WHEEL), SOURCES)


@pytest.mark.parametrize("more", ["tests/__init__.py", "asyncauth/__pycache__/a.pyc", f"{INFO}/direct_url.json"])
def test_a_wheel_with_too_much(tmp_path: Path, more: str) -> None:
    with pytest.raises(CheckError, match=re.escape(more)):
        contents.check_wheel(zipped(tmp_path / "a.whl", WHEEL | {more}), SOURCES)


@pytest.mark.parametrize("less", sorted(WHEEL))
def test_a_wheel_that_lacks_something(tmp_path: Path, less: str) -> None:
    with pytest.raises(CheckError, match=re.escape(f"lacks ['{less}']")):
        contents.check_wheel(zipped(tmp_path / "a.whl", WHEEL - {less}), SOURCES)


def test_py_typed_is_not_forgotten(tmp_path: Path) -> None:
    typed = "asyncauth/py.typed"
    with pytest.raises(CheckError, match=r"py\.typed is missing"):
        contents.check_wheel(zipped(tmp_path / "a.whl", WHEEL - {typed}), SOURCES - {f"src/{typed}"})


def test_an_sdist_has_what_is_under_version_control(tmp_path: Path) -> None:
    about = {"PKG-INFO", ".gitignore"}
    contents.check_sdist(tarred(tmp_path / "a.tar.gz", SOURCES | about), SOURCES | {".ci/run", ".gitignore"})
    with pytest.raises(CheckError, match=r"notes\.md"):
        contents.check_sdist(tarred(tmp_path / "b.tar.gz", SOURCES | about | {"notes.md"}), SOURCES)


def test_a_program_that_fails_says_what_it_printed(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="no such thing"):
        programs.run(sys.executable, "-c", "raise SystemExit('no such thing')", cwd=tmp_path)


def test_this_python_is_found() -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert programs.find_pythons()[version] == Path(sys.executable)


def test_the_date_in_the_archives_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    assert build.epoch() == "1"
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert int(build.epoch()) > 1_700_000_000


def test_the_changelog_ends_with_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(.*?)\]", text, re.MULTILINE)[:2] == ["Unreleased", contents.version()]


def test_what_is_pinned_is_allowed() -> None:
    """The versions that we test with are no older than the oldest that we allow."""
    pinned = dict(
        re.findall(r"^([\w.-]+)==([\w.]+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    )
    pinned = {name.lower().replace("_", "-"): version for name, version in pinned.items()}
    project = contents.project()
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(one for name in extras if name != "airflow" for one in extras[name])]
    floors = [found.groups() for one in wanted if (found := re.match(r"([\w-]+)(?:\[[^]]*\])?>=([\d.]+)", one))]
    assert len(floors) > 20
    for name, floor in floors:
        assert _numbers(floor) <= _numbers(pinned[name.lower()]), name


def test_the_tests_ask_for_a_newer_anyio_than_users_need() -> None:
    """What `make lowest` does about it needs exactly one such requirement."""
    assert re.fullmatch(r"anyio==[\d.]+", lowest._of_the_tests())


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
