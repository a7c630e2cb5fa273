"""`make fuzz`: try inputs for `FUZZ_SECONDS` (60), guided by the code that they reach. What was learnt stays in
`.cache/fuzz`.

An input that breaks something is written beside it, and `python -m fuzz FILE` tries it again.
"""

import os
import sys
from hashlib import sha256
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["asyncauth"]):
    from fuzz import targets

CACHE = Path(__file__).parent.parent / ".cache"
CORPUS = CACHE / "fuzz"
WORDS = CACHE / "fuzz.words"


def main() -> None:
    """Fuzz, or try the files that are named."""
    files = sys.argv[1:]
    seconds = int(os.environ.get("FUZZ_SECONDS", "60"))
    CORPUS.mkdir(parents=True, exist_ok=True)
    for seed in targets.seeds():
        (CORPUS / sha256(seed).hexdigest()[:16]).write_bytes(seed)
    WORDS.write_text("\n".join(f'"{_escape(word)}"' for word in targets.words()))
    # A text over 8 KiB is refused by its length; a second for one input is a thousand times too much.
    options = [
        f"-max_total_time={seconds}",
        "-max_len=9000",
        "-timeout=1",
        f"-artifact_prefix={CACHE}/",
        f"-dict={WORDS}",
    ]
    atheris.Setup([sys.argv[0], *options, *(files or [str(CORPUS)])], targets.run)
    atheris.Fuzz()


def _escape(word: str) -> str:
    return word.replace("\\", "\\\\").replace('"', '\\"')


main()
