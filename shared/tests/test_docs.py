"""The pages of the documentation site run as shown, and a stranger finds the way through them."""

import re
from pathlib import Path

import pytest

from claimkit.house import main
from claimkit.testing import run_page, shows

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGES = [p.parent for p in sorted(ROOT.glob("packages/*/pyproject.toml"))]
PAGES = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(p / "README.md" for p in (ROOT / "shared", *PACKAGES))]
ANSWERS = ("Install", "First result", "Your own data", "Why trust it", "Change it")


@pytest.mark.parametrize(
    "page", [p for p in sorted(DOCS.glob("claimkit/*.md")) if shows(p, "claimkit")], ids=lambda page: page.name
)
def test_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_page(page, "claimkit", main).examples > 0


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+?)\s*$", re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S), re.M)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_a_readme_leads_to_five_answers_within_sixty_lines(package):
    lines = (package / "README.md").read_text("utf-8").splitlines()
    assert len(lines) <= 120
    start = DOCS / package.name / "index.md"
    assert [h for h in headings(start) if h in ANSWERS] == list(ANSWERS)
    links = [f"(../../docs/{package.name}/index.md#{anchor(answer)})" for answer in ANSWERS[1:]]
    for wanted in ("pip install ./shared", *links):
        assert any(wanted in line for line in lines[:60]), wanted


def words(page: str) -> int:
    """How many words of a page are read: what a link or a picture points to, badges and comments are not."""
    seen = re.sub(r"<!--.*?-->|!\[[^]]*\]\([^)]*\)", "", page, flags=re.S)
    return len(re.findall(r"\w[^\s|]*", re.sub(r"\]\([^)]*\)", "]", seen)))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_each_answer_is_found_within_a_minute_of_reading(package):
    readme, start = (package / "README.md").read_text("utf-8"), (DOCS / package.name / "index.md").read_text("utf-8")
    for answer in ANSWERS:
        way = readme[: readme.index("(#install)" if answer == "Install" else f"index.md#{anchor(answer)}")]
        section = re.split(r"\n## ", start.split(f"\n## {answer}\n")[1])[0]
        assert words(way) + words(section) <= 230, answer  # a minute


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_a_quick_start_says_what_every_folder_holds(package):
    text = (DOCS / package.name / "index.md").read_text("utf-8")
    folders = [p.parent.name for p in (package / "src" / package.name).glob("*/__init__.py")]
    assert [f for f in folders if f"`{f}/`" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading_of_the_repository(page):
    text = re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"\w+:", target):
            file, _, heading = target.partition("#")
            there = (page.parent / file).resolve() if file else page
            assert there.exists(), target
            if heading and there.suffix == ".md":
                assert heading in {anchor(h) for h in headings(there)}, target
