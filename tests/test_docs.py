"""The code in the documentation runs and prints what it says."""

import doctest
import re
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from sklearn.datasets import load_digits
from staged import short_audit

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md") if ">>> " in path.read_text()))
def test_the_code_of_a_page(page: str) -> None:
    found = doctest.testfile(str(DOCS / page), module_relative=False, encoding="utf-8")
    assert found.attempted
    assert not found.failed


SMALLER = {
    r"\bepochs=\d+": "epochs=1",
    r"\bdraws=\d+": "draws=32",
    r"\btemperatures=\d+": "temperatures=4, chains=2, leapfrog=2",
    r"\bbdmc\((.*), \d+\)": r"bdmc(\1, 2, temperatures=4, chains=2, leapfrog=2)",
    r"LinearSchedule\(\d+\)": "LinearSchedule(2)",
    r"\[:50\]": "[:4]",
    r'"ELBO 98.2"\)': '"ELBO 98.2", n=20, draws=8)',
}
"""What makes the documented code fast and leaves it what it is."""


def test_the_python_of_readme_and_guide_runs_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    short_audit(monkeypatch)
    digits = load_digits()
    digits.images, digits.target = digits.images[:700], digits.target[:700]
    monkeypatch.setattr("sklearn.datasets.load_digits", lambda: digits)
    matplotlib.use("Agg")
    blocks = []
    for page in (DOCS.parent / "README.md", DOCS / "guide.md"):
        found = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        assert found
        blocks += [(f"{page.name}, block {number}", code) for number, code in enumerate(found, 1)]
    namespace: dict[str, Any] = {}
    for name, code in blocks:
        for pattern, smaller in SMALLER.items():
            code = re.sub(pattern, smaller, code)
        exec(compile(code, name, "exec"), namespace)
    assert {path.name for path in tmp_path.iterdir()} == {"digits.vae", "ladder.pdf", "plane.pdf"}


PAGES = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.parent.glob("reproductions/*/README.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS.parent)))
def test_the_links_of_a_page_lead_somewhere_and_its_commands_exist(page: Path) -> None:
    from elbowroom.cli import app

    text = page.read_text(encoding="utf-8")
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert not [link for link in links if link and not (page.parent / link).exists()]
    scripts = re.findall(r"python ((?:reproductions|benchmarks)/[\w/]+\.py)", text)
    assert not [script for script in scripts if not (DOCS.parent / script).exists()]
    known = {command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands}
    known |= {group.name for group in app.registered_groups}
    assert set(re.findall(r"^\$ elbowroom (\w[\w-]*)", text, re.MULTILINE)) <= known
