"""What the pages say: names, examples, links."""
import importlib
import inspect
import re
import sys
from pathlib import Path
from unittest import mock

import pytest

from models import FAMILY

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))
import make_api  # noqa: E402

PAGES = sorted(path.relative_to(ROOT).as_posix()
               for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")))


def test_the_page_of_public_names_is_up_to_date():
    assert (ROOT / "docs/api.md").read_text() == make_api.text(), "write it anew with: make docs"


def test_the_page_lists_what_a_class_has_of_a_base_class_without_an_entry():
    tensor = make_api.text().split("### minitensor.Tensor\n")[1].split("\n### ")[0]
    for method in ("item", "tolist", "numpy", "numel", "size", "shape", "backward", "reshape"):
        assert f"- `{method}" in tensor, method
    assert "### minitensor.nn.init.Module" not in make_api.text()       # imported, not its own


@pytest.mark.parametrize("module", make_api.MODULES)
def test_every_public_name_has_a_docstring(module):
    names = make_api.public_names(importlib.import_module(module))
    assert [name for name, value in names if not inspect.getdoc(value)] == []


EXAMPLES = re.findall(r"^```python\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(), re.M | re.S)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_of_contributing_run(number):
    code = compile(EXAMPLES[number], f"CONTRIBUTING.md, example {number + 1}", "exec")
    with mock.patch.dict(FAMILY):
        exec(code, {"__name__": "example"})


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text()
    targets = re.findall(r"\]\((?!https?:)([^)#]*)(?:#[\w-]+)?\)", text)
    missing = [target for target in targets if target
               and not ((ROOT / page).parent / target).exists()]
    assert missing == []
