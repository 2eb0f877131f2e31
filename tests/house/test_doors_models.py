"""Who may import whom in models/, and who may speak with the user."""
import ast

import pytest

from test_doors import ROOT, imports

MODELS = ROOT / "models"
# For each room, the rooms of models/ that it may import: always those above it in this table.
DOORS = {
    "errors": set(),
    "progress": set(),
    "settings": set(),
    "files": {"errors"},
    "compute": {"errors"},
    "networks": set(),
    "inputs": {"errors", "progress", "settings"},
    "evaluation": {"errors", "files", "networks"},
    "weights": {"errors", "networks", "progress"},
    "training": {"errors", "progress", "settings", "files", "compute", "networks", "inputs",
                 "evaluation", "weights"},
    "reproduce": {"progress", "settings", "files", "networks", "evaluation", "training"},
    "commands": {"errors", "progress", "settings", "files", "compute", "networks", "inputs",
                 "evaluation", "weights", "training", "reproduce"},
    "__init__": {"networks"},
    "__main__": {"commands"},
}
FILES = sorted(path.relative_to(ROOT).as_posix() for path in MODELS.rglob("*.py"))
MODULES = {file.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for file in FILES}


def room(module):
    """models.networks.layers.Conv -> networks"""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def of_models(file):
    """The modules of models/ that a file imports."""
    for name in imports(ROOT / file):
        while name.startswith("models") and name not in MODULES:
            name = name.rpartition(".")[0]
        if name.startswith("models"):
            yield name


def test_a_room_imports_rooms_above_it_only():
    rooms = list(DOORS)
    assert all(rooms.index(other) < rooms.index(home)
               for home, others in DOORS.items() for other in others)


def test_models_has_few_rooms():
    rooms = {path.stem for path in MODELS.iterdir() if path.name != "__pycache__"}
    assert rooms == DOORS.keys() and len(rooms) <= 14


@pytest.mark.parametrize("file", FILES)
def test_models_keeps_its_doors(file):
    home = room(file.removesuffix(".py").replace("/", "."))
    others = {room(name) for name in of_models(file)} - {home}
    assert others <= DOORS[home], f"{file} imports {sorted(others - DOORS[home])}"


def test_no_module_imports_itself_by_way_of_others():
    todo = {file.removesuffix(".py").removesuffix("/__init__").replace("/", "."):
            set(of_models(file)) for file in FILES}
    while free := [name for name, others in todo.items() if not others & todo.keys() - {name}]:
        for name in free:
            del todo[name]
    assert not todo, f"an import circle is among {sorted(todo)}"


@pytest.mark.parametrize("file", [file for file in FILES if not file.startswith("models/commands/")
                                  and file != "models/progress.py"])
def test_only_commands_and_progress_speak_with_the_user(file):
    outside = {name.split(".")[0] for name in imports(ROOT / file)}
    assert not outside & {"argparse", "tqdm"}
    calls = [node.func for node in ast.walk(ast.parse((ROOT / file).read_text()))
             if isinstance(node, ast.Call)]
    assert not [call for call in calls if isinstance(call, ast.Name)
                and call.id in ("print", "input")], file
