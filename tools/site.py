"""Hooks of MkDocs: the documents of the root become pages, and links lead to pages, from wherever they were written.

So the same text can be read in the repository and on the site.
"""

import logging
import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
_SOURCES = {page: name for name, page in PAGES.items()}
_CODE_OR_LINK = re.compile(r"^( *)(`{3,}).*?^\1\2|`[^`\n]+`|\[([^\[\]]*)\]\(([^()\s]+)\)", re.DOTALL | re.MULTILINE)
_FETCHED = re.compile(
    rb"""<(?:script|img|link rel="(?:stylesheet|preload|icon)")[^>]*(?:src|href)=["']?(?:https?:)?//"""
)
log = logging.getLogger(f"mkdocs.{__name__}")  # a warning below this name ends a strict build


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents of the root."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text()))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Turn links; see `turn`."""
    path = page.file.src_uri
    source = ROOT / _SOURCES[path] if path in _SOURCES else DOCS / path
    return _CODE_OR_LINK.sub(lambda match: turn(match, source, DOCS / path), markdown)


def turn(match: re.Match[str], source: Path, page: Path) -> str:
    """A link between files of the repository → one between pages. A file that is no page is named only."""
    text, target = match[3], match[4]
    if target is None or target.startswith(("#", "https:", "http:")):
        return match[0]
    name, anchor, fragment = target.partition("#")
    path = Path(os.path.normpath(source.parent / name))
    if not path.exists():
        log.warning("%s links to %s, which does not exist", source.relative_to(ROOT), target)
    root_name = path.relative_to(ROOT).as_posix()
    path = DOCS / PAGES.get(root_name, path)
    if not path.is_relative_to(DOCS):
        return text if text.startswith("`") else f"{text} `{root_name}`"
    return f"[{text}]({os.path.relpath(path, page.parent)}{anchor}{fragment})"


def on_post_build(*, config: MkDocsConfig) -> None:
    """Refuse a site that makes browsers fetch something from elsewhere."""
    for file in sorted(Path(config.site_dir).rglob("*.html")):
        for match in _FETCHED.finditer(file.read_bytes()):
            log.warning("%s fetches %r…", file.name, match[0].decode())
