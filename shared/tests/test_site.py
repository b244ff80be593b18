"""The pages of the documentation site that are made from records."""

import dataclasses

from claimkit.claims import Verdict
from claimkit.records.history import Criterion
from claimkit.report.site import claims_page, not_reproduced, plain


def test_a_claims_page_says_what_the_record_says(record):
    r = record(kind="not reproduced")
    page = claims_page(r.package, [r], {})
    assert f"## {r.claim.id}: " in page and f"{{#{r.claim.id}}}" in page
    assert f"**Not reproduced.** {plain(str(r.verdict.effect))}. {plain(r.verdict.reason)}" in page
    assert plain(r.claim.criterion) in page
    assert f"(../../packages/{r.package}/results/{r.file})" in page
    assert r.again in page
    assert "not the one" not in page


def test_a_criterion_that_changed_and_a_second_verdict_are_told(record):
    r = record(kind="reproduced")
    lower = dataclasses.replace(
        r, evidence=dataclasses.replace(r.evidence, preset="full"), verdict=Verdict("not reproduced", "It is gone.")
    )
    rows = [Criterion("M3", "a", since_date="2026-01-01"), Criterion("M3", "b")]
    page = claims_page(r.package, [r, lower], {r.claim.id: rows})
    assert "**Not reproduced.** It is gone." in page, "the higher preset is shown"
    assert "At preset small it is **reproduced**" in page
    assert "stood from 2026-01-01, then today" in page


def test_everything_less_than_reproduced_is_listed_worst_first(record):
    records = [record(kind=k, id=f"M{i}") for i, k in enumerate(("direction reproduced", "reproduced", "not reproduced"), 1)]
    text = not_reproduced(records, {records[0].claim.paper: "What the paper says."})
    assert "M2" not in text
    assert text.index("M3](") < text.index("M1](")
    assert "[msgd M3](msgd/claims.md#M3)" in text
    assert text.count("What the paper says.") == 2
    assert "Not run (0)" in text


def test_text_of_a_record_is_no_markup():
    assert plain("a_b [c] <i> $x$ `d`\n*e*") == r"a\_b \[c\] &lt;i> \$x\$ \`d\` \*e\*"
