"""What the README says can be done."""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_example_prints_a_gradient_equal_to_its_finite_difference():
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    printed = subprocess.run([sys.executable, "-c", example], cwd=ROOT, capture_output=True,
                             text=True, check=True).stdout
    backward, difference = map(float, re.findall(r"-?\d+\.\d+", printed))
    assert abs(backward - difference) < 1e-6 < abs(backward)


def test_every_path_it_names_exists():
    paths = re.findall(r"`((?:minitensor|models|data|tests|benchmarks|docs)/[\w./]*)`", README)
    assert paths and not [path for path in paths if not (ROOT / path).exists()]
