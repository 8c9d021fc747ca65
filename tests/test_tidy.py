"""The rules of the architecture, checked in the source: imports point down, and so on.

A rule that no test checks is soon broken.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULE_LINES_MAX, FUNCTION_LINES_MAX = 400, 70
SPEAKS_FOR_ITSELF_LINES = 6

# The levels: a folder may import folders of a lower level, and itself.
LEVELS = (
    ("core",),
    ("config",),
    ("db_models",),
    ("repository",),
    ("web",),
    ("mail",),
    ("accounts",),
    ("providers",),
    ("payments",),
    ("realtime",),
    ("webhooks",),
    ("blueprints",),
    ("server",),
    ("app",),
)
LEVEL_OF = {part: level for level, parts in enumerate(LEVELS) for part in parts}
PARTS = {*LEVEL_OF, "bank"}
# It imports the types of its parts only for the type checker, not at run time.
NAMES_TYPES_ONLY = "core/runtime/parts.py"
MOUNTS_THE_BANK = ("app.py", "server/bank_mount.py")
# Packages in clients/ are products of their own: tests/clients/test_package_rules.py. The shops in
# examples/ have their own tests: tests/clients/test_shop_flask.py.
NOT_PRODUCT = {
    *("tests", "benchmarks", "scripts", "migrations", "instance", "docs", "docker"),
    "clients",
    "deploy",
    "examples",
}

# Restricted actions, and the files or folders (ending in /) that may do them.
HOMES = {
    "commits": {"repository/database.py"},
    "emits": {"realtime/announcer.py"},
    "assigns a status": set[str](),
    "asks the machine's clock": {"core/clock.py"},
    # async_mode runs before config can be imported; Prometheus reads its own variable.
    # A bank that runs by itself reads its own settings.
    "reads the environment": {
        "config.py",
        "server/async_mode.py",
        "web/metrics.py",
        "bank/settings.py",
    },
    "prints": set[str](),
    "writes an audit row": {"accounts/audit.py"},
    # See docs/decisions/0034-hubs-and-their-homes.md.
    "imports a hub": {
        "core/runtime/hub.py",
        "realtime/websocket.py",
        "server/async_mode.py",
        "server/serving.py",
    },
}
HUBS = {"eventlet", "gevent", "greenlet"}


def product_files() -> list[Path]:
    """Every Python file of the product, except the migrations, which Alembic writes."""
    files = []
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).parts
        if (
            not parts[0].startswith(".")
            and parts[0] not in NOT_PRODUCT
            and "migrations" not in parts
        ):
            files.append(path)
    return sorted(files)


def relative_path(path: Path) -> str:
    """The path from the root, with slashes."""
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def part_of(path: Path) -> str:
    """The top folder, or the module's name for a file at the root."""
    first = path.relative_to(ROOT).parts[0]
    return "app" if first == "gunicorn.conf.py" else first.removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that the file imports, also inside functions."""
    tree = tree_of(path)
    if relative_path(path) == NAMES_TYPES_ONLY:
        tree = ast.Module([node for node in tree.body if not _is_for_the_checker(node)], [])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative_path(path)}:{node.lineno} is imported relatively"
            yield node.lineno, node.module or ""


def _is_for_the_checker(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def restricted_actions_in(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of each restricted action in the file."""
    for line, name in imported(path):
        if name.partition(".")[0] in HUBS:
            yield line, "imports a hub"
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "commit":
                yield node.lineno, "commits"
            elif node.func.attr == "insert" and _name(node.func.value).endswith("audit"):
                yield node.lineno, "writes an audit row"
            elif node.func.attr in ("emit", "send") and _is_socket(node.func.value):
                yield node.lineno, "emits"
            elif node.func.attr in ("now", "utcnow", "today") and _name(node.func.value) in (
                "datetime",
                "date",
                "datetime.datetime",
                "datetime.date",
            ):
                yield node.lineno, "asks the machine's clock"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "print":
                yield node.lineno, "prints"
            elif node.func.id == "emit":
                yield node.lineno, "emits"
        if isinstance(node, ast.Attribute) and _name(node) in ("os.environ", "os.getenv"):
            yield node.lineno, "reads the environment"
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(
                isinstance(target, ast.Attribute) and target.attr == "status" for target in targets
            ):
                yield node.lineno, "assigns a status"


def _name(node: ast.expr) -> str:
    return ast.unparse(node)


def _is_socket(node: ast.expr) -> bool:
    return "socketio" in _name(node).lower()


def test_the_source_is_found_at_all():
    """A test that reads no file would always pass."""
    files = {relative_path(path) for path in product_files()}

    assert {"app.py", "core/money.py", "payments/service.py", "bank/app.py"} <= files


def test_every_part_of_the_product_has_its_place_in_the_order():
    """A new folder needs a level here, and a decision record that says why it exists."""
    unknown = {part_of(path) for path in product_files()} - PARTS

    assert unknown == set()


def test_imports_point_downward_only():
    """Two folders that import each other cannot be read, tested or replaced separately."""
    wrong = []
    for path in product_files():
        own = part_of(path)
        if own == "bank":
            continue
        for line, name in imported(path):
            other = name.partition(".")[0]
            if other in LEVEL_OF and other != own and LEVEL_OF[other] >= LEVEL_OF[own]:
                wrong.append(f"{relative_path(path)}:{line} imports {name}")

    assert wrong == []


def test_the_domain_knows_banks_by_their_port_alone():
    """Another kind of bank can then come without a change in `payments`."""
    wrong = []
    for path in product_files():
        if part_of(path) not in ("payments", "realtime", "webhooks"):
            continue
        names = {name for _, name in imported(path)}
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom):
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
        wrong += [
            f"{relative_path(path)} imports {name}"
            for name in sorted(names)
            if name.startswith(("providers.simulated", "providers.api_pix"))
        ]

    assert wrong == []


def test_no_visitors_folder_imports_another():
    """Each blueprint can be read and changed alone; shared code is below the blueprints."""
    wrong = []
    for path in product_files():
        folder = path.relative_to(ROOT).parts[:2]
        if folder[0] != "blueprints":
            continue
        for line, name in imported(path):
            if name.startswith("blueprints.") and name.split(".")[1] != folder[1]:
                wrong.append(f"{relative_path(path)}:{line} imports {name}")

    assert wrong == []


def module_of(path: Path) -> str:
    """The dotted name by which the file is imported."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def modules_and_imports() -> dict[str, set[str]]:
    """Each module of the product, and the product's modules that it imports."""
    modules = {module_of(path): path for path in product_files()}
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        names = {name for _, name in imported(path)}
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom):
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
        if relative_path(path) == NAMES_TYPES_ONLY:
            names = {name for _, name in imported(path)}
        graph[module] = (names & modules.keys()) - {module}
    return graph


def circles_in(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other: what remains after removing the leaves."""
    reach = {module: set(others) for module, others in graph.items()}
    changed = True
    while changed:
        changed = False
        for reached in reach.values():
            further = set().union(*(reach[other] for other in reached)) if reached else set()
            if not further <= reached:
                reached |= further
                changed = True
    groups = {
        tuple(sorted(other for other in reached if module in reach[other]))
        for module, reached in reach.items()
        if module in reached
    }
    return sorted(map(list, groups))


def test_a_circle_of_imports_would_be_found():
    """Tests the search itself, on a graph with a circle and a module that only leads to it."""
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set[str]()}

    assert circles_in(graph) == [["b", "c"]]


def test_no_import_goes_in_a_circle():
    """Modules in a circle cannot be read, tested or replaced separately."""
    assert circles_in(modules_and_imports()) == []


def test_core_imports_neither_flask_nor_sqlalchemy():
    """Rules on plain values are tested without an app and without a database."""
    wrong = [
        f"{relative_path(path)}:{line} imports {name}"
        for path in product_files()
        if part_of(path) == "core"
        for line, name in imported(path)
        if name.partition(".")[0] in ("flask", "sqlalchemy", "werkzeug", "flask_sqlalchemy")
    ]

    assert wrong == []


def test_the_bank_shares_nothing_with_the_service_but_core():
    """A real bank replaces the folder, which an import in either direction would prevent."""
    wrong = []
    for path in product_files():
        for line, name in imported(path):
            other = name.partition(".")[0]
            if part_of(path) == "bank" and other in PARTS - {"bank", "core"}:
                wrong.append(f"{relative_path(path)}:{line} imports {name}")
            if (
                part_of(path) != "bank"
                and relative_path(path) not in MOUNTS_THE_BANK
                and other == "bank"
            ):
                wrong.append(f"{relative_path(path)}:{line} imports {name}")

    assert wrong == []


@pytest.mark.parametrize("deed", sorted(HOMES))
def test_a_restricted_action_happens_only_where_it_is_allowed(deed: str):
    """If commits, emits or the clock fail, there is one place to look."""
    homes = HOMES[deed]
    violations = {
        (relative_path(path), line)
        for path in product_files()
        for line, d in restricted_actions_in(path)
        if d == deed
    }

    strays = sorted(f"{file}:{line} {deed}" for file, line in violations if file not in homes)
    assert strays == []
    assert homes == {file for file, _ in violations}, "a place where this no longer happens"


HAS_SQL = {"repository", "db_models", "bank"}  # the bank is an application with its own database
AUDITED_IN_THE_VERB = {
    "AuditAction.PAYMENT_CANCELLED",
    "AuditAction.PAYMENT_RENEWED",
    "AuditAction.REFUND_ASKED",
}


def test_what_a_verb_audits_is_audited_nowhere_else():
    """When each route wrote its own audit row, one forgot, and a refund by key left no trace."""
    strays = [
        f"{relative_path(path)}:{node.lineno} {_name(node)}"
        for path in product_files()
        if part_of(path) != "payments"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and _name(node) in AUDITED_IN_THE_VERB
    ]

    assert strays == []


SQL_CALLS = {"execute", "exec_driver_sql", "get", "scalar", "scalars"}


OF_NAMED_TUPLES = {"_asdict", "_replace"}
"""Public methods: Python begins them with a line so that they are no names of fields."""


def private_names_of_libraries() -> set[tuple[str, str]]:
    """File and name of every private attribute of a library that the product uses."""
    own = {name for path in product_files() for name in _names_made_in(path)}
    uses = set()
    for path in product_files():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Attribute):
                name, holder = node.attr, _name(node.value)
                is_own = holder in ("self", "cls", "os") or (name in own and holder != "super()")
            elif isinstance(node, ast.Call) and _name(node.func) in ("getattr", "setattr"):
                name, is_own = ast.unparse(node.args[1]).strip("'"), False
            else:
                continue
            is_private = name.startswith("_") and not name.startswith("__")
            if is_private and name not in OF_NAMED_TUPLES and not is_own:
                uses.add((relative_path(path), name))
    return uses


def _names_made_in(path: Path) -> Iterator[str]:
    """The names that a file defines or assigns, including attributes of objects."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr


def test_private_attributes_of_libraries_are_listed():
    """An upgrade may remove them: the list says what to check and what breaks."""
    page = (ROOT / "docs" / "performance.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    listed = {
        (file, name)
        for row in rows
        for file in re.findall(r"`([a-z_/]+\.py)`", row.split(" | ")[0])
        for name in re.findall(r"`(_[a-z_]+)`", row)
    }

    uses = private_names_of_libraries()
    assert uses
    assert uses <= listed, sorted(uses - listed)


def is_for_statements(name: str) -> bool:
    """Whether an import is of SQLAlchemy's queries and not of its error classes."""
    return name.startswith("sqlalchemy") and not name.startswith("sqlalchemy.exc")


def test_sql_is_in_the_repository_alone():
    """A query elsewhere is overlooked when a column changes, and no test counts its cost."""
    strays = []
    for path in product_files():
        if part_of(path) in HAS_SQL:
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
                strays += [
                    f"{relative_path(path)}:{node.lineno} imports {module}{alias.name}"
                    for alias in node.names
                    if is_for_statements(f"{module}{alias.name}")
                ]
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                target = _name(node.func.value)
                if node.func.attr in SQL_CALLS and target.endswith(("session", "connection")):
                    strays.append(f"{relative_path(path)}:{node.lineno} {target}.{node.func.attr}")

    assert strays == []


def test_modules_and_functions_stay_small():
    """A function fits on a screen, and a module can be read in one sitting."""
    too_long = []
    for path in product_files():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MODULE_LINES_MAX:
            too_long.append(f"{relative_path(path)} has {lines} lines")
        for node in ast.walk(tree_of(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES_MAX:
                    too_long.append(
                        f"{relative_path(path)}:{node.lineno} {node.name} has {length} lines"
                    )

    assert too_long == []


def test_everything_public_says_what_it_promises():
    """A name alone does not say which errors are raised, which unit a number has or what changes.

    Functions of a few lines need no docstring.
    """
    silent = []
    for path in product_files():
        tree = tree_of(path)
        if not ast.get_docstring(tree):
            silent.append(f"{relative_path(path)}:1 the module")
        silent += [
            f"{relative_path(path)}:{node.lineno} {node.name}"
            for node in _public(tree)
            if not ast.get_docstring(node) and not _is_short(node)
        ]

    assert silent == []


def _is_short(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    length = (node.end_lineno or node.lineno) - node.lineno + 1
    return not isinstance(node, ast.ClassDef) and length <= SPEAKS_FOR_ITSELF_LINES


def _public(
    scope: ast.Module | ast.ClassDef,
) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Functions, classes and methods for other modules; inner functions are private."""
    for node in scope.body:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        if node.name.startswith("_"):
            continue
        yield node
        if isinstance(node, ast.ClassDef):
            yield from _public(node)


def page_sources() -> list[Path]:
    """Our templates, style sheets and scripts, of service and bank."""
    folders = ("templates", "static", "bank/templates", "bank/static")
    kinds = {".html", ".css", ".js", ".svg"}
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in kinds and "vendor" not in path.parts
    )


def test_templates_hold_no_script_and_no_style_of_their_own():
    """The Content-Security-Policy refuses both; a page that needs them is broken in a browser."""
    inline = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son[a-z]+\s*=|javascript:")
    templates = [path for path in page_sources() if path.suffix == ".html"]
    violations = [
        f"{relative_path(path)}: {match[0]}"
        for path in templates
        for match in inline.finditer(re.sub(r"\{#.*?#\}", "", path.read_text("utf-8"), flags=re.S))
    ]

    assert templates
    assert violations == []


def test_pages_load_nothing_from_outside():
    """Pages work without the internet and tell no third party who views them."""
    address = re.compile(r"https?://[^\s\"'`)<>]+|(?:src|href)=[\"']//[^\"']+")
    namespaces = re.compile(r"http://www\.w3\.org/[\w/.]+")
    violations = [
        f"{relative_path(path)}: {match[0]}"
        for path in page_sources()
        for match in address.finditer(path.read_text("utf-8"))
        if not namespaces.fullmatch(match[0])
    ]

    assert violations == []


def test_the_source_has_no_todo_comments():
    """Unfinished work is an issue with an owner, not a comment that nobody reads."""
    mark = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    everywhere = [*product_files(), *page_sources(), *ROOT.glob("migrations/**/*.py")]
    violations = [
        f"{relative_path(path)}:{number}"
        for path in everywhere
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if mark.search(line)
    ]

    assert violations == []


def test_a_test_is_skipped_in_one_place_only():
    """A skipped test fails CI, so none may be collected for a case in which it cannot run."""
    skip = re.compile(r"\bpytest\.(mark\.)?(skip|skipif|importorskip)\b|\.skipTest\(")
    skips = [
        relative_path(path)
        for path in (ROOT / "tests").rglob("*.py")
        if path != Path(__file__) and skip.search(path.read_text("utf-8"))
    ]

    assert skips == ["tests/support/parts.py"]


# Requirements that no file imports, and what uses them.
USED_WITHOUT_IMPORT = {
    "cyclonedx-bom": "python -m cyclonedx_py, a command of scripts/sbom.py",
    "efipay": "an example of docs/api-pix.md",
    "mypy": "make types",
    "psycopg-binary": "the C part of psycopg, and libpq",
    "pypix-api": "an example of docs/api-pix.md",
    "pytest-cov": "`pytest --cov`, to find untested lines",
    "pytest-timeout": "the `timeout` of pyproject.toml",
    "pytest-xdist": "`-n` of the Makefile",
    "requests": "the Socket.IO client's long polling",
    "ruff": "make lint",
    "simple-websocket": "Flask-SocketIO's websocket in threading mode",
}
IMPORTED_AS = {
    "argon2-cffi": "argon2",
    "flask-apscheduler": "flask_apscheduler",
    "markdown-it-py": "markdown_it",
    "pillow": "PIL",
    "pyjwt": "jwt",
    "python-dotenv": "dotenv",
    "python-socketio": "socketio",
    "pyyaml": "yaml",
    "websocket-client": "websocket",
    "zxing-cpp": "zxingcpp",
}


def test_every_required_package_is_used():
    """An unused package would be downloaded, updated and trusted for nothing."""
    pins = re.compile(r"^([A-Za-z0-9_-]+)==", re.M)
    texts = [(ROOT / name).read_text() for name in ("requirements.txt", "requirements-dev.txt")]
    required = {name.lower() for text in texts for name in pins.findall(text)}
    sources = [path for path in ROOT.rglob("*.py") if ".venv" not in path.parts]
    imports = {name.partition(".")[0] for path in sources for _, name in imported(path)}

    unused = {
        name
        for name in required
        if IMPORTED_AS.get(name, name.replace("-", "_")) not in imports
        and not name.startswith("types-")
    }
    assert unused == USED_WITHOUT_IMPORT.keys()
