"""The rules of prose of CONTRIBUTING.md that a machine can check: ``python -m tests.plain_english orch_nb/store README.md``."""

from __future__ import annotations

import ast
import io
import json
import re
import sys
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# A phrase, and what to write instead.
PHRASES = {
    r"(?<![Tt]here )\b(?:is|are|was|were) no\b(?! longer)": "say what it is or must be: `x` must be a number, got 'abc'",
    r"\b(?:go|goes|going|went) on\b": "continue, resume",
    r"\banew\b": "again, from zero",
    r"\b(?:doors?|(?<!support )desks?|rungs?|errands?)\b": "name the thing; no metaphors for mechanisms",
    r"\b(?:stands?|stood)\b(?! for|-)": "is, lies, is written",
    r"\bwords? too many\b|\bno number of\b|\bhalf a character\b|\bheld back\b|\bnot surely\b": "subject must be X, got Y",
    r"\b(?:DESIGN|MEANING|HOUSE|FINDINGS|CHECKLIST|SURFACE|ANCHORS2?|PEERS|RELIABILITY|NOTEBOOK_FACTS|LOCAL_MODEL)(?:\.md|\b(?: section)? \d)": "cite only what a reader has: state the rule itself",
}  # fmt: skip
PATTERN = re.compile("|".join(f"({phrase})" for phrase in PHRASES))
# The first word of a function's docstring: "Return the runs that wait", and not "Which runs wait". A test's is a rule.
OPENING = re.compile(r"(?:What|Whether|How|Who|Which|Where|When|Why)\b")

Place = tuple[Path, int, str]


def docstring_of(node: ast.AST) -> ast.Constant | None:
    """Return the docstring of a module, class or function."""
    body = getattr(node, "body", None)
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and body:
        first = body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            return first.value
    return None


def python_prose(source: str, every_string: bool) -> Iterator[tuple[int, str, bool]]:
    """Yield line, text and if a function opens with it, of each docstring, comment and (for the product) string."""
    docstrings = {}
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if found := docstring_of(node):
            docstrings[found] = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith(
                "test_"
            )
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and ((every_string and " " in node.value) or node in docstrings)
        ):
            yield node.lineno, node.value, docstrings.get(node, False)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string, False


def without_code(text: str) -> str:
    """Return Markdown with its code blanked out, so that lines keep their numbers."""
    return re.sub(
        r"```.*?```|`[^`\n]*`", lambda code: "`" + "\n" * code.group().count("\n") + "`", text, flags=re.DOTALL
    )


def prose(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Yield the prose of a file: line, text, and if a function's docstring is meant."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield from python_prose(text, every_string="tests" not in path.parts)
    elif path.suffix == ".ipynb":
        for number, cell in enumerate(json.loads(text)["cells"]):
            if cell["cell_type"] == "markdown":
                yield number, without_code("".join(cell["source"])), False
    else:
        yield 1, without_code(text) if path.suffix == ".md" else text, False


def problems(path: Path) -> Iterator[Place]:
    """Yield what breaks a rule in one file: file, line (of a notebook: cell) and message."""
    for line, text, opens in prose(path):
        if opens and (match := OPENING.match(text)):
            yield path, line, f"a function's docstring starts with a verb or a noun, not with `{match.group()}`"
        for match in PATTERN.finditer(text):
            advice = list(PHRASES.values())[(match.lastindex or 1) - 1]
            yield path, line + text.count("\n", 0, match.start()), f"`{match.group()}`: {advice}"


def files_below(places: list[str]) -> Iterator[Path]:
    """Yield the files of prose among paths and in folders."""
    for place in map(Path, places):
        found = (
            [place]
            if place.is_file()
            else sorted(path for path in place.rglob("*") if path.suffix in {".py", ".md", ".ipynb", ".ts"})
        )
        yield from (
            path for path in found if "node_modules" not in path.parts and ".ipynb_checkpoints" not in path.parts
        )


def main(places: list[str]) -> int:
    """Print the problems in files and folders; return 1 where there are some."""
    count = 0
    for path in files_below(places):
        if path.name == "plain_english.py":
            continue
        for where, line, message in problems(path):
            count += 1
            print(f"{where}:{line}: {message}")
    print(f"{count} problems")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["."]))
