"""The pages are in step with the code, and their links lead somewhere."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
from docs_generate import pages as generated
from docs_markdown import ROOT, pages

if TYPE_CHECKING:
    from pathlib import Path

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)[^)]*\)")
_CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
_VARIABLE = re.compile(r"PINOKIOCLOUD_[A-Z0-9_]+")
_WRITTEN_BY_MEASURING = {ROOT / "docs" / "bench"}  # by bench/interpreter.py --write
_INTERNAL = {"PINOKIOCLOUD_BEACON_FD", "PINOKIOCLOUD_SOCKET_FD"}  # between the engine and its Node process


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", title.replace("`", "")).strip().lower() for title in titles]
    return {re.sub(r"[\s-]+", "-", title) for title in plain}


@pytest.mark.parametrize("page", [*pages(), ROOT / "CHANGELOG.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page: Path) -> None:
    text = _CODE.sub("", page.read_text("utf-8"))
    broken = []
    for link in _LINK.findall(text):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if target in _WRITTEN_BY_MEASURING:
            continue
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in _anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", generated(), ids=lambda page: page.name)
def test_generated_pages_are_in_step(page: Path) -> None:
    assert page.read_text("utf-8") == generated()[page], "run: python tests/docs/docs_generate.py"


def test_every_variable_of_the_environment_is_described() -> None:
    used = set()
    for file in [*(ROOT / "pinokiocloud").rglob("*.py"), *(ROOT / "pinokiocloud").rglob("*.js")]:
        if "node_modules" not in file.parts:
            used |= set(_VARIABLE.findall(file.read_text("utf-8")))
    described = set(_VARIABLE.findall((ROOT / "docs" / "environment.md").read_text("utf-8")))
    assert used - _INTERNAL == described


def test_every_public_name_is_described() -> None:
    import pinokiocloud  # noqa: PLC0415 - only this test needs it

    text = (ROOT / "docs" / "python.md").read_text("utf-8")
    assert not [name for name in pinokiocloud.__all__ if f"`{name}" not in text]


def test_every_error_is_described() -> None:
    tree = ast.parse((ROOT / "pinokiocloud" / "errors.py").read_text("utf-8"))
    codes = {
        item.value.value
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, ast.Assign) and isinstance(item.value, ast.Constant)
    }
    text = (ROOT / "docs" / "python.md").read_text("utf-8")
    assert not [code for code in codes if f"`{code}`" not in text]


def test_every_page_is_in_the_navigation() -> None:
    nav = (ROOT / "mkdocs.yml").read_text("utf-8")
    docs = ROOT / "docs"
    names = [str(page.relative_to(docs)) for page in docs.rglob("*.md") if page.parent not in _WRITTEN_BY_MEASURING]
    assert not [name for name in names if f" {name}\n" not in nav]


def test_troubleshooting_quotes_messages_that_exist() -> None:
    files = [ROOT / "hatch_build.py", *(ROOT / "pinokiocloud").rglob("*.py")]
    code = "\n".join(file.read_text("utf-8") for file in files)
    titles = re.findall(r"^## (.+)$", (ROOT / "docs" / "troubleshooting.md").read_text("utf-8"), re.MULTILINE)
    quoted = [text for title in titles for text in re.findall(r"`([^`]+)`", title)]
    others = {
        "pip install .",
        "No module named venv",
        "ensurepip is not available",
        "{{…}}",
        "shell.run failed: Error:",
    }
    pieces = [
        piece.strip(" ',")
        for text in quoted
        if text not in others
        for piece in re.split(r"step \d+ of …|…\S*|\d+", text)
    ]
    assert not [piece for piece in pieces if len(piece) > 3 and piece not in code]
