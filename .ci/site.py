"""What mkdocs is told of the packages: navigation, pages made from records, pictures beside them, equations, links."""

import ast
import html
import itertools
import os
import re
import tomllib
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.structure.files import File

from claimkit.records import history
from claimkit.report import site, tables

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(p.parent.name for p in ROOT.glob("packages/*/pyproject.toml"))
PAGES = ["concepts", "recipes", "claims", "paper", "api"]
OUTSIDE = re.compile(r"(?P<before>!?\[(?:[^][]|\[[^]]*\])*\])\((?P<to>\.\./[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")


def on_config(config):
    """The navigation: the pages of the house, then those of every package that is found."""
    own = {p: sorted(f.stem for f in (ROOT / "docs" / p).glob("*.md")) for p in PACKAGES}
    more = {p: [page for page in own[p] if page not in ("index", *PAGES)] for p in PACKAGES}
    packages = {p: [f"{p}/{page}.md" for page in ("index", *more[p], *PAGES)] for p in PACKAGES}
    house = [f"claimkit/{page}.md" for page in ("index", "concepts", "recipes", "paper", "api")]
    config.nav = [
        "index.md",
        {"Claims": ["how-claims-work.md", "not-reproduced.md"]},
        {"Packages": [{p: pages} for p, pages in packages.items()]},
        {"claimkit": house},
    ]
    return config


def on_files(files, config):
    """Pages of claims, what was not reproduced, and the pictures of the records under ``PACKAGE/results``."""
    papers = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["claimkit"]["papers"]
    everything = []
    for p in PACKAGES:
        folder = ROOT / "packages" / p / "results"
        records = tables.gather(folder)
        everything += records
        files.append(File.generated(config, f"{p}/claims.md", content=site.claims_page(p, records, history.changed(folder))))
        for picture in sorted(f for f in folder.iterdir() if f.suffix in (".png", ".jpg", ".svg")):
            files.append(File.generated(config, f"{p}/results/{picture.name}", abs_src_path=str(picture)))
    head = files.get_file_from_path("not-reproduced.md")
    files.remove(head)
    text = head.content_string + "\n" + site.not_reproduced(everything, papers)
    files.append(File.generated(config, "not-reproduced.md", content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    """Links that leave ``docs``: pictures and claims are here, other files are the repository's, if its address is known."""
    here = (ROOT / "docs" / page.file.src_uri).parent

    def link(match):
        target = Path(os.path.normpath(here / match["to"]))
        if target.is_relative_to(ROOT / "docs") or not target.exists():
            return match[0]  # mkdocs checks it
        inside = target.relative_to(ROOT)
        if inside.parts[2:] == ("README.md",) and match["anchor"] == "#claims":  # the site has a page for them
            return f"{match['before']}({os.path.relpath(ROOT / 'docs' / inside.parts[1] / 'claims.md', here)})"
        if match["before"].startswith("!"):
            picture = Path(inside.parts[1], "results", inside.name)
            return f"{match['before']}({os.path.relpath(ROOT / 'docs' / picture, here)})"
        if not config.repo_url:
            return match["before"][1:-1]
        return f"{match['before']}({config.repo_url.rstrip('/')}/blob/main/{inside.as_posix()}{match['anchor'] or ''})"

    return OUTSIDE.sub(link, re.sub(r"<!-- public names of (\w+) -->", lambda m: public(m[1]), markdown))


def public(package):
    """A line for mkdocstrings for each name that the package offers at its top level, in the order of its stub."""
    stub = ROOT / "packages" / package / "src" / package / "__init__.pyi"
    imports = [n for n in ast.parse(stub.read_text(encoding="utf-8")).body if isinstance(n, ast.ImportFrom) and n.module]
    return "\n\n".join(f"::: {package}.{n.module}.{name.name}" for n in imports for name in n.names)


def on_page_content(content, page, config, files):
    """Equations as MathML, which browsers show by themselves; names that docstrings mark as Sphinx would as plain code."""

    def mathml(match):
        inline, tex = match[1] == "span", html.unescape(match[2])[2:-2]
        shown = convert(tex, display="inline" if inline else "block")
        return shown if inline else shown.replace("<math", '<math tabindex="0"', 1)  # a wide one is scrolled by keys

    content = re.sub(r'<(span|div) class="arithmatex">(.*?)</\1>', mathml, content, flags=re.DOTALL)
    content = re.sub(r"<th([^>]*)></th>", r"<td\1></td>", content)  # the corner of a table heads nothing
    number = itertools.count(1)
    content = re.sub(
        r"<table>(.*?)</table>",
        lambda m: (
            f'<div class="scroll" tabindex="0" role="region" aria-label="Table {next(number)}">'
            f'<table class="plain">{m[1]}</table></div>'
        ),
        content,
        flags=re.DOTALL,
    )
    return re.sub(r":(?:func|class|meth|mod|attr|data|exc):<code>~?([^<]*)</code>", r"<code>\1</code>", content)


def on_post_page(output, page, config):
    """Names for the parts of the theme that have none, or one that another part has, for who hears a page."""
    output = output.replace(
        'data-md-component="search" role="dialog"', 'data-md-component="search" role="dialog" aria-label="Search"'
    )
    output = re.sub(
        r'(<nav class="md-nav"[^>]*) aria-labelledby="__nav_([\d_]+)_label"', r'\1 aria-label="Pages \2"', output
    )
    number = itertools.count(1)  # the headings of an API are named alike in both lists of contents
    return re.sub(r'(<nav class="md-nav" aria-label=")\s*([^"]*)"', lambda m: f'{m[1]}{m[2]}, part {next(number)}"', output)


def on_post_template(output_content, template_name, config):
    """The page that is shown where there is none."""
    return on_post_page(output_content, None, config) if template_name == "404.html" else output_content
