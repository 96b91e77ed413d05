"""How dense the code is, by room: `python tests/density.py`. `make check` prints it; a test holds the bounds.

Tokens a code line, syntax nodes a simple statement, code lines a function and a module. Docstrings,
comments and blank lines do not count.
"""

import ast
import io
import statistics
import tokenize
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "retention"
NO_CODE = {
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.COMMENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
SIMPLE = (
    ast.Assign,
    ast.AnnAssign,
    ast.AugAssign,
    ast.Return,
    ast.Expr,
    ast.Raise,
    ast.Assert,
    ast.Delete,
)
MARKS = (
    ast.expr_context,
    ast.operator,
    ast.unaryop,
    ast.cmpop,
    ast.boolop,
)  # no nodes of their own


@dataclass
class Density:
    """What is counted of some files: tokens and code lines in all, and a number for each part."""

    tokens: int
    lines: int
    nodes: list[int]  # of each simple statement
    functions: list[int]  # code lines of each
    modules: dict[str, int]  # code lines of each

    @property
    def tokens_a_line(self) -> float:
        return self.tokens / max(self.lines, 1)

    def row(self) -> str:
        return (
            f"{self.tokens_a_line:5.1f} tokens a line; nodes a statement "
            f"{statistics.median(self.nodes):.0f}, {percentile(self.nodes, 90)}; lines a function "
            f"{statistics.median(self.functions):.0f}, {percentile(self.functions, 90)}; "
            f"longest module {max(self.modules.values())}"
        )


def percentile(values: list[int], per_cent: int) -> int:
    """The value that this many per cent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * per_cent // 100)]


def density(paths: list[Path]) -> Density:
    """The density of these files taken together."""
    found = Density(0, 0, [], [], {})
    for path in paths:
        own = of_file(path)
        found.tokens += own.tokens
        found.lines += own.lines
        found.nodes += own.nodes
        found.functions += own.functions
        found.modules |= own.modules
    return found


@cache
def of_file(path: Path) -> Density:
    """The density of one file; a module goes by its path within the package."""
    source = path.read_text("utf-8")
    tree = ast.parse(source)
    by_line = tokens_by_line(source, docstring_lines(tree))
    inside = path.is_relative_to(PACKAGE)
    name = str(path.relative_to(PACKAGE)) if inside else path.name
    found = Density(sum(by_line.values()), len(by_line), [], [], {name: len(by_line)})
    for node in ast.walk(tree):
        if isinstance(node, SIMPLE) and node.lineno in by_line:
            found.nodes.append(sum(not isinstance(n, MARKS) for n in ast.walk(node)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            span = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            found.functions.append(sum(line in by_line for line in span))
    return found


def docstring_lines(tree: ast.Module) -> set[int]:
    """The lines on which docstrings stand."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            first = node.body[0]
            lines |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return lines


def tokens_by_line(source: str, left_out: set[int]) -> dict[int, int]:
    """How many tokens begin on each line of code."""
    found: dict[int, int] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        first, last = token.start[0], token.end[0]
        if token.type in NO_CODE or first in left_out:
            continue
        for line in range(first, last + 1):
            found.setdefault(line, 0)
        found[first] += 1
    return found


def main() -> None:
    """Print the density of each room, then of all."""
    for room in sorted(path for path in PACKAGE.iterdir() if path.is_dir()):
        if files := sorted(room.rglob("*.py")):
            print(f"{room.name:10} {density(files).row()}")
    print(f"{'all':10} {density(sorted(PACKAGE.rglob('*.py'))).row()}")


if __name__ == "__main__":
    main()
