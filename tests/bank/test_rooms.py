"""The bank's source: imports point downward, no circle closes, and each name means one thing."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests.test_tidy import part_of, product_files, tree_of

BANK = Path(__file__).resolve().parents[2] / "bank"

# A room may import rooms of a lower number and the modules beside the rooms.
LEVEL_OF = {"chaos": 0, "codes": 0, "money": 1, "blueprints": 2, "workbench": 3}


def modules() -> dict[str, Path]:
    """Every module of the bank by its dotted name; a package goes by its folder's."""
    files = (path for path in BANK.rglob("*.py") if "migrations" not in path.parts)
    parts_of = {path: path.relative_to(BANK.parent).with_suffix("").parts for path in files}
    return {".".join(parts).removesuffix(".__init__"): path for path, parts in parts_of.items()}


def imports(path: Path, names: dict[str, Path]) -> set[str]:
    """Modules of the bank that a file imports, also inside functions and for types alone."""
    imported_names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported_names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            is_package = submodules <= names.keys()
            imported_names |= submodules if is_package else submodules | {node.module or ""}
    return imported_names & names.keys()


def room_of(name: str) -> str:
    """The second part of a dotted name: a room, or a module beside the rooms."""
    return name.split(".")[1] if "." in name else ""


def graph() -> dict[str, set[str]]:
    """The imports of each module."""
    names = modules()
    return {name: imports(path, names) - {name} for name, path in names.items()}


def test_the_modules_are_found_at_all():
    """A test that reads no file would always pass."""
    edges = graph()

    assert "bank.database" in edges["bank.money.demo"]
    assert "bank.money.payers" in edges["bank.money.wallets"]


def test_no_imports_form_a_circle():
    """Modules in a circle cannot be read, tested or replaced separately."""
    circle = []
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        circle = error.args[1]

    assert circle == []


def test_rooms_import_downward_only():
    """Two rooms that import each other are in fact one room."""
    wrong = [
        f"{name} imports {other}"
        for name, others in graph().items()
        for other in others
        if {room_of(name), room_of(other)} <= LEVEL_OF.keys()
        and room_of(name) != room_of(other)
        and LEVEL_OF[room_of(other)] >= LEVEL_OF[room_of(name)]
    ]

    assert wrong == []


def test_the_database_imports_no_room():
    """All rooms build on the tables and transactions."""
    edges = graph()

    assert not {name for name in edges["bank.database"] if room_of(name) in LEVEL_OF}


def codes_by_class(part_is_bank: bool) -> dict[str, str | None]:
    """The classes of bank or service by name, each with the `code` that it assigns, if any."""
    codes: dict[str, str | None] = {}
    for path in product_files():
        if (part_of(path) == "bank") is part_is_bank:
            for node in ast.walk(tree_of(path)):
                if isinstance(node, ast.ClassDef):
                    codes[node.name] = code_of(node)
    return codes


def code_of(node: ast.ClassDef) -> str | None:
    """The text that a class assigns to `code`."""
    for statement in node.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "code":
            return str(ast.literal_eval(statement.value))
    return None


def test_a_class_name_means_one_thing_at_the_bank_and_at_the_service():
    """A search for a name finds one thing. An error may exist on both sides with the same code."""
    bank, service = codes_by_class(True), codes_by_class(False)
    # The column type is written twice, since neither side may import the other.
    shared = (bank.keys() & service.keys()) - {"UtcDateTime"}

    assert {name for name in shared if not bank[name] or bank[name] != service[name]} == set()
