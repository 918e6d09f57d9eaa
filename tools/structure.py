"""Reports how big and how tangled the source has become, and fails past the limits it agreed to live within."""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from catalog.loader import load_catalog

ROOT = Path(__file__).resolve().parent.parent
SOURCE_ROOTS = ("catalog", "meshkit", "router_service", "provider_services", "quota_service", "llm_mesh")
OTHER_ROOTS = ("deploy", "tools")

FILE_LINES = 320
FUNCTION_LINES = 50
COMPLEXITY = 10

# Every name of a vendor in the catalogue but those that are also ordinary words of the trade.
ORDINARY = frozenset({"local", "google", "gpt"})
NAMES = {name for vendor in load_catalog().vendors.values() for name in (vendor.id, vendor.reply_name, *vendor.aliases)}
VENDOR = re.compile(
    r"(?<![a-z0-9])(" + "|".join(map(re.escape, sorted(NAMES - ORDINARY, key=len, reverse=True))) + r")(?![a-z0-9])",
    re.IGNORECASE,
)
AT_HOME = ("catalog/", "provider_services/dialects/__init__.py")  # data, and the list of dialects
# The HTTP edge offers callers one vendor's wire format, and the welcome tells their clients so.
OFFERED_WIRE = "openai"
OFFERED_IN = ("router_service/edge/", "llm_mesh/cli/welcome.py")

BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.comprehension, ast.match_case)
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Measure(NamedTuple):
    """One figure and where it was found."""

    figure: int
    place: str


class Mention(NamedTuple):
    """A vendor named in a source file that is not its own."""

    vendor: str
    place: str


@dataclass(frozen=True)
class Report:
    """Everything measured, biggest first."""

    files: tuple[Measure, ...]
    functions: tuple[Measure, ...]
    complexities: tuple[Measure, ...]
    mentions: tuple[Mention, ...]

    def lines(self) -> Iterator[str]:
        """Say the worst of each kind."""
        total = sum(measure.figure for measure in self.files)
        yield f"source             {len(self.files)} files, {total} lines, {len(self.functions)} functions"
        yield _worst("largest file", self.files, "lines", FILE_LINES)
        yield _worst("longest function", self.functions, "lines", FUNCTION_LINES)
        yield _worst("worst complexity", self.complexities, "paths", COMPLEXITY)
        mean = sum(measure.figure for measure in self.complexities) / max(1, len(self.complexities))
        yield f"mean complexity    {mean:.1f}"
        yield f"vendor mentions    {len(self.mentions)} outside the vendor's own files (limit 0)"

    def faults(self) -> Iterator[str]:
        """Name everything past its limit."""
        for measures, limit, what in (
            (self.files, FILE_LINES, "lines in a file"),
            (self.functions, FUNCTION_LINES, "lines in a function"),
            (self.complexities, COMPLEXITY, "paths through a function"),
        ):
            yield from (f"{m.place}: {m.figure} {what}, limit {limit}" for m in measures if m.figure > limit)
        yield from (f"{mention.place}: names the vendor {mention.vendor}" for mention in self.mentions)


def _worst(label: str, measures: tuple[Measure, ...], unit: str, limit: int) -> str:
    if not measures:
        return f"{label:<18} none"
    return f"{label:<18} {measures[0].figure} {unit} (limit {limit})  {measures[0].place}"


def _functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def _own_nodes(function: Function) -> Iterator[ast.AST]:
    """Walk a function without the functions inside it, which are measured for themselves."""
    waiting: list[ast.AST] = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, Function):
            waiting.extend(ast.iter_child_nodes(node))


def _complexity(function: Function) -> int:
    return 1 + sum(isinstance(node, BRANCHES) for node in _own_nodes(function))


def _mentions(name: str, text: str) -> Iterator[Mention]:
    if name.startswith(AT_HOME):
        return
    for number, line in enumerate(text.splitlines(), start=1):
        for found in VENDOR.findall(line):
            offered = found.lower() == OFFERED_WIRE and name.startswith(OFFERED_IN)
            if not offered and found.lower() not in name.lower():  # a vendor's own file or folder carries its name
                yield Mention(found.lower(), f"{name}:{number}")


def measure(root: Path = ROOT) -> Report:
    """Measure every Python file of the source; deploy and tools are measured but may name vendors."""
    files: list[Measure] = []
    functions: list[Measure] = []
    complexities: list[Measure] = []
    mentions: list[Mention] = []
    for top in (*SOURCE_ROOTS, *OTHER_ROOTS):
        for path in sorted((root / top).rglob("*.py")):
            text, name = path.read_text(encoding="utf-8"), path.relative_to(root).as_posix()
            files.append(Measure(len(text.splitlines()), name))
            for function in _functions(ast.parse(text, name)):
                place = f"{name}:{function.lineno} {function.name}"
                functions.append(Measure((function.end_lineno or function.lineno) - function.lineno + 1, place))
                complexities.append(Measure(_complexity(function), place))
            if top in SOURCE_ROOTS:
                mentions.extend(_mentions(name, text))
    return Report(_ranked(files), _ranked(functions), _ranked(complexities), tuple(mentions))


def _ranked(measures: list[Measure]) -> tuple[Measure, ...]:
    return tuple(sorted(measures, key=lambda measure: -measure.figure))


def main() -> int:
    """Print the report; the exit status says whether the limits hold."""
    report = measure()
    faults = list(report.faults())
    sys.stdout.write("\n".join([*report.lines(), *faults]) + "\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
