"""What an index shows of a release: name, version, classifiers, and README.md as a page."""

import re
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

from readme_renderer.markdown import render
from tools.release.build import Archives
from tools.release.contents import version
from tools.release.programs import ROOT, VERSIONS, CheckError, tool


def check(built: Archives) -> None:
    """Twine finds nothing; the page on an index has no link that leads nowhere; the version is in the changelog."""
    tool("twine", "check", "--strict", built.sdist, built.wheel, cwd=ROOT)
    metadata = _read(built.wheel)
    text = metadata.get_payload(decode=True)
    html = render(text.decode()) if isinstance(text, bytes) else None
    if html is None:
        raise CheckError("README.md cannot be rendered as an index does")
    if relative := set(re.findall(r'(?:href|src)="(?!https?://|#|mailto:)([^"]+)"', html)):
        raise CheckError(f"on an index README.md would have links that lead nowhere: {', '.join(sorted(relative))}")
    named = {str(line).rpartition(" ")[2] for line in metadata.get_all("Classifier", []) if ":: Python :: 3." in line}
    if named != set(VERSIONS):
        raise CheckError(f"the classifiers name Python {', '.join(sorted(named))}, we test {', '.join(VERSIONS)}")
    released = re.search(
        r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE
    )
    if released is None or released[1] != version():
        raise CheckError(f"CHANGELOG.md has to have the version {version()} and its date first after Unreleased")


def _read(wheel: Path) -> Message:
    """The file METADATA of a wheel."""
    return message_from_bytes(ZipFile(wheel).read(f"asyncauth-{version()}.dist-info/METADATA"))
