"""Make the mutants, with mutmut's operators and one more: mutmut alone forgets nothing."""

import difflib
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import libcst as cst
from mutmut.configuration import config
from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.mutation.mutators import mutation_operators
from mutmut.utils.file_utils import walk_source_files
from mutmut.utils.format_utils import get_mutant_name, mangled_name_from_mutant_name
from tools.mutants import Change, name_function


class Mutant(NamedTuple):
    """One change of one function."""

    name: str
    """mutmut's."""
    function: str
    """mutmut's name of it."""
    digest: str
    """Of the function's text: what is known of its mutants holds until it changes."""
    change: Change


def forget_one(node: cst.CompFor | cst.For) -> Iterator[cst.CSTNode]:
    """Go through all but the first, or all but the last: mutmut has no such operator."""
    if node.asynchronous is None:
        items = cst.Module([]).code_for_node(node.iter)
        for part in ("[1:]", "[:-1]"):
            yield node.with_changes(iter=cst.parse_expression(f"[*({items})]{part}"))


OPERATORS = [(cst.CompFor, forget_one), (cst.For, forget_one)]
"""Beside mutmut's."""


def mutate(to: Path) -> list[Mutant]:
    """Copy the sources, those that are to be mutated with all their mutants in them."""
    mutants: list[Mutant] = []
    operators: Any = mutation_operators  # a list, whatever mutmut says of it
    operators.extend(OPERATORS)
    for folder in (*config().source_paths, *config().also_copy[:1]):
        shutil.rmtree(to / folder, ignore_errors=True)
        shutil.copytree(folder, to / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in walk_source_files():
        if config().should_mutate(path):
            code, made = _mutate_file(path, to / "made")
            (to / path).write_text(code, encoding="utf-8")
            mutants += (Mutant(name, function, digest, Change(*change)) for name, function, digest, change in made)
    return mutants


def _mutate_file(path: Path, made: Path) -> tuple[str, list[Any]]:
    """The mutated file and its mutants, made unless they were made of the same text before: it takes seconds."""
    text = path.read_text(encoding="utf-8")
    known = made / f"{hashlib.sha256(f'{path} {text}'.encode()).hexdigest()[:16]}.json"
    if not known.exists():
        mutated = mutate_file_contents(str(path), text)
        lines = mutated.code.splitlines()
        texts = {name: lines[span.start - 1 : span.end] for name, span in mutated.line_span_by_function_name.items()}
        mutants = [_describe(path, name, texts) for name in mutated.mutant_names]
        made.mkdir(exist_ok=True)
        known.write_text(json.dumps([mutated.code, mutants]))
    code, mutants = json.loads(known.read_text())
    return code, mutants


def _describe(path: Path, name: str, texts: dict[str, list[str]]) -> Mutant:
    full = get_mutant_name(path, name)
    of = name_function(full)
    original, plain = name.rpartition("_")[0] + "_orig", of.rpartition(".")[2]
    before = [line.replace(original, plain) for line in texts[original]]
    after = [line.replace(name, plain) for line in texts[name]]
    digest = hashlib.sha256("\n".join(before).encode()).hexdigest()[:12]
    differ = list(difflib.unified_diff(before, after, lineterm="", n=0))[2:]
    old, new = (" ".join(line[1:].strip() for line in differ if line[0] == sign) for sign in "-+")
    return Mutant(full, mangled_name_from_mutant_name(full), digest, Change(of, old, new))
