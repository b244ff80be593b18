import dataclasses
import json
import re
import xml.etree.ElementTree as ET

import pytest

from claimkit import house
from claimkit.claims import Claim, Record, Verdict
from claimkit.claims.power import power
from claimkit.errors import InputError
from claimkit.records import history
from claimkit.report import badges, tables
from claimkit.report.page import write_page


def exit_code(function, *args):
    with pytest.raises(SystemExit) as e:
        function(*args)
    return e.value.code


def test_readme_tables_are_generated_then_checked(workspace, capsys, monkeypatch):
    monkeypatch.syspath_prepend(workspace / "packages")  # found as packages, whether or not they are installed
    assert exit_code(house.readme, workspace, True) == 1
    assert "packages/msgd/README.md" in capsys.readouterr().out
    assert exit_code(house.readme, workspace) == 0
    assert exit_code(house.readme, workspace, True) == 0
    text = (workspace / "packages/msgd/README.md").read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| slope 1 [0.9, 1.1] | small, 1 seed | [see](results/M3.small.png) |" in text
    root = (workspace / "README.md").read_text()
    assert "| [delta](packages/delta), [msgd](packages/msgd) | 1 reproduced, 1 not | small, to 2026-01-01 | 4 |" in root
    assert json.loads((workspace / "badges/delta.json").read_text())["message"] == "1 not"
    assert json.loads((workspace / "badges/1906.07405.json").read_text())["message"] == "1 reproduced, 1 not"


def test_a_badge_that_is_not_the_records_is_noticed(workspace, capsys):
    exit_code(house.readme, workspace)
    badge = workspace / "badges/msgd.svg"
    badge.write_text(badge.read_text().replace("1 reproduced", "2 reproduced"))
    assert exit_code(house.readme, workspace, True) == 1
    assert "msgd.svg" in capsys.readouterr().out


def test_seconds_of_a_shared_measurement_count_once(record):
    other = dataclasses.replace(record(id="M4"), code="m:g")
    assert tables.seconds_spent([record(), record(id="M5"), other]) == 4.0


def test_the_main_claim_of_a_paper_stands_in_the_scoreboard(workspace):
    (workspace / "pyproject.toml").write_text('[tool.claimkit.papers]\n"1906.07405" = "Noise is free."\n')
    exit_code(house.readme, workspace)
    assert "| Noise is free. |" in (workspace / "README.md").read_text()


def test_a_changed_number_is_noticed(workspace):
    exit_code(house.readme, workspace)
    path = workspace / "packages/msgd/results/M3.small.json"
    path.write_text(path.read_text().replace('"value": 1.0', '"value": 1.25'))
    assert exit_code(house.readme, workspace, True) == 1


def test_a_readme_without_markers_is_named(workspace):
    (workspace / "README.md").write_text("nothing")
    with pytest.raises(InputError, match=r"README\.md must hold"):
        house.readme(workspace)


def test_the_page_holds_every_claim_escaped_and_needs_nothing_from_elsewhere(record, workspace, capsys):
    odd = Claim(**{**record().claim.__dict__, "id": "M4", "title": "<script>alert(1)</script>"})
    values = {"error": {"gd": [0.5] * 9, "sgd": 0.25}, "text": "one"}
    record(values=values, id="M5").save(workspace / "packages/msgd/results")
    Record(package="msgd", claim=odd, verdict=Verdict("not run", "needs data")).save(workspace / "packages/msgd/results")
    house.page(workspace, workspace / "none", workspace / "report")
    html = (workspace / "report/index.html").read_text()
    assert "<script>alert" not in html and "&lt;script&gt;alert" in html
    loaded = re.findall(r"""(?:src|href)=["'](?!https://arxiv)((?:https?:)?//[^"']*)""", html)
    assert not loaded and "url(" not in html  # but for links to the papers
    assert (workspace / "report/pictures/msgd-M3.small.png").read_bytes() == b"png"
    for words in (
        "needs data",
        "not reproduced",
        "slope 1 [0.9, 1.1]",
        "Slope in [0.9, 1.15].",
        "2 x p",
        "0.5, 0.5 … (9 values); sgd: 0.25",
    ):
        assert words in html
    assert "| delta, msgd |" in capsys.readouterr().out


def test_a_fresh_record_wins_over_the_recorded_one_at_equal_preset(record, workspace):
    record(kind="direction reproduced").save(workspace / "fresh/msgd")
    house.page(workspace, workspace / "fresh", workspace / "report")
    badge = json.loads((workspace / "report/badges/msgd.json").read_text())
    assert badge["message"] == "1 direction"


def test_pictures_come_from_their_own_package(workspace):
    records = tables.gather(workspace / "packages/msgd/results", workspace / "packages/delta/results")
    (workspace / "packages/delta/results/M3.small.png").write_bytes(b"other")
    write_page(records, [workspace / f"packages/{p}/results" for p in ("msgd", "delta")], workspace / "out")
    assert (workspace / "out/pictures/delta-M3.small.png").read_bytes() == b"other"
    assert (workspace / "out/pictures/msgd-M3.small.png").read_bytes() == b"png"


def test_the_badge_follows_the_published_schema_and_its_svg_is_wellformed(record):
    b = badges.badge("msgd", [record(), record(kind="not reproduced", id="M4"), record(kind="not run", id="M5")])
    assert b == {"schemaVersion": 1, "label": "msgd", "message": "1 reproduced, 1 not, 1 not run", "color": "8a6d00"}
    svg = ET.fromstring(badges.badge_svg("a<b", "1 of 2", "b3261e"))
    assert svg.tag.endswith("svg")
    assert badges.badge("msgd", [])["message"] == "not run"


@pytest.mark.parametrize(
    ("kinds", "color"),
    [
        (["reproduced"] * 8 + ["not reproduced"], "2a7d3f"),  # the worst verdict alone no longer decides
        (["reproduced", "not reproduced"], "8a6d00"),
        (["direction reproduced"], "8a6d00"),
        (["not reproduced"] * 3, "b3261e"),
        (["not run"], "6b6b6b"),
    ],
)
def test_the_colour_of_a_badge_goes_by_the_share_that_holds(record, kinds, color):
    records = [record(kind=kind, id=f"M{i}") for i, kind in enumerate(kinds)]
    assert badges.badge("msgd", records)["color"] == color


def test_a_criterion_that_changed_after_its_first_record_is_told_with_the_power(record, workspace):
    results = workspace / "packages/msgd/results"
    r = record(id="M4")
    claim = dataclasses.replace(r.claim, power=power(0.5, 1.0, {"small": 64}, "a pilot"))
    dataclasses.replace(r, claim=claim).save(results)
    rows = ["M4\t00\taaa\t2026-01-01\tbbb\t2026-01-02", "M4\t11\tccc\t2026-01-03\tddd\t2026-01-04"]
    (results / history.NAME).write_text("\n".join(["claim\tdigest\tsince\tsince_date\trecorded\trecorded_date", *rows, ""]))
    html = write_page(tables.gather(results), [results], workspace / "out").read_text()
    assert html.count("not the one under which the claim was first measured") == 1
    assert "wording 2 stood from 2026-01-03 (commit ccc), first record 2026-01-04." in html
    assert "asks about 0.5; sees 0.356 at small (n 64); spread 1, a pilot" in html


def test_where_small_and_full_disagree_both_are_shown(record):
    records = [record("small", "not reproduced"), record("full"), record("small", id="M4"), record("full", id="M4")]
    assert [(a.preset, b.preset, a.claim.id) for a, b in tables.disagreeing(records)] == [("full", "small", "M3")]
    table = tables.claims_table(records)
    assert "**reproduced** (at small: not reproduced)" in table and table.count("(at small") == 1
    assert "small and full (they disagree on M3)" not in tables.scoreboard(records, {}), "full alone is shown"
    assert "full (they disagree on M3), to 2026-01-01" in tables.scoreboard(records, {})
