"""Tables as people have them: read rightly, or one sentence that says what to do."""

import gzip

import numpy as np
import pandas
import pytest

from claimkit.testing.ports import free_port
from securegbm.align.party import AlignParty, align, canonical
from securegbm.errors import SecureGBMError
from securegbm.tables.encode import apply
from securegbm.tables.files import Dialect, read_frame
from securegbm.tables.table import Table

NAN = float("nan")
RIGHT = {
    "plain": (b"id,x,y\n1,2,3\n2,4,5\n", {}, [[2, 3], [4, 5]]),
    "trailing commas in the data": (b"id,x,y\n1,2,3,\n2,4,5,\n", {}, [[2, 3], [4, 5]]),
    "trailing commas everywhere": (b"id,x,y,\n1,2,3,\n2,4,5,\n", {}, [[2, 3], [4, 5]]),
    "semicolons": (b"id;x;y\n1;2;3\n2;4;5\n", {}, [[2, 3], [4, 5]]),
    "tabs": (b"id\tx\ty\n1\t2\t3\n2\t4\t5\n", {}, [[2, 3], [4, 5]]),
    "bars": (b"id|x|y\n1|2|3\n2|4|5\n", {}, [[2, 3], [4, 5]]),
    "decimal commas": (b"id;x;y\n1;2,5;3\n2;4,25;5\n", {"decimal": ","}, [[2.5, 3], [4.25, 5]]),
    "windows lines": (b"id,x,y\r\n1,2,3\r\n2,4,5\r\n", {}, [[2, 3], [4, 5]]),
    "old mac lines": (b"id,x,y\r1,2,3\r2,4,5", {}, [[2, 3], [4, 5]]),
    "byte order mark": (b"\xef\xbb\xbfid,x,y\n1,2,3\n2,4,5\n", {}, [[2, 3], [4, 5]]),
    "utf-16": ("id,x,y\n1,2,3\n2,4,5\n".encode("utf-16"), {}, [[2, 3], [4, 5]]),
    "latin-1": ("id,größe,y\n1,2,3\n2,4,5\n".encode("latin-1"), {"encoding": "latin-1"}, [[2, 3], [4, 5]]),
    "gzip": (gzip.compress(b"id,x,y\n1,2,3\n2,4,5\n"), {}, [[2, 3], [4, 5]]),
    "quoted fields": (b'"id","x","y"\n"1","2","3"\n"2","4","5"\n', {}, [[2, 3], [4, 5]]),
    "blanks after commas": (b"id, x, y\n1, 2, 3\n2, 4, 5\n", {}, [[2, 3], [4, 5]]),
    "blank lines": (b"id,x,y\n1,2,3\n\n2,4,5\n\n\n", {}, [[2, 3], [4, 5]]),
    "missing values": (b"id,x,y\n1,NA,3\n2,,null\n", {}, [[NAN, 3], [NAN, NAN]]),
    "truth values": (b"id,x,y\n1,True,yes\n2,False,no\n3,,yes\n", {}, [[1, 1], [0, 0], [NAN, 1]]),
    "dates": (b"id,x,y\n1,1970-01-02,1\n2,1969-12-31T12:00:00,2\n3,,3\n", {}, [[1, 1], [-0.5, 2], [NAN, 3]]),
    "categories": (b"id,x,y\n1,red,1\n2,blue,2\n3,red,3\n4,NA,4\n", {}, [[1, 1], [0, 2], [1, 3], [NAN, 4]]),
    "exponents and signs": (b"id,x,y\n1,+2e-3,3\n2,-4E2,5\n", {}, [[0.002, 3], [-400, 5]]),
    "the id last": (b"x,y,id\n2,3,1\n4,5,2\n", {}, [[2, 3], [4, 5]]),
}


@pytest.mark.parametrize("name", RIGHT)
def test_odd_tables_are_read_rightly(name, tmp_path):
    data, dialect, wanted = RIGHT[name]
    (tmp_path / "t.csv").write_bytes(data)
    table, _ = Table.read(tmp_path / "t.csv", "id", (), Dialect(**dialect))
    assert np.array_equal(table.values, np.array(wanted, dtype=float), equal_nan=True)
    assert table.ids == tuple(str(i + 1) for i in range(len(wanted)))


WRONG = {
    "an empty file": (b"", {}, "is empty; give a header"),
    "a header only": (b"id,x\n", {}, "a header and no rows"),
    "no id column": (b"key,x\n1,2\n", {}, "no column 'id'.*--id-column.*--separator"),
    "a blank id": (b"id,x\n1,2\n,3\n", {}, "row 2 of t.csv has no 'id'"),
    "an id twice": (b"id,x\n1,2\n1,3\n", {}, "ids repeat"),
    "a column twice": (b"id,x,x\n1,2,3\n", {}, "the column 'x' more than once"),
    "a column without a name": (b"id,,x\n1,2,3\n", {}, "a column without a name"),
    "a short line": (b"id,x,y\n1,2,3\n2,4\n", {}, "line 3 of t.csv has 2 fields, its header 3"),
    "a long line": (b"id,x,y\n1,2,3\n2,4,5,6\n", {}, "line 3 of t.csv has 4 fields, its header 3"),
    "decimal commas unsaid": (b"id;x\n1;2,5\n2;3,5\n", {}, "numbers with a comma .*--decimal"),
    "a typo among numbers": (b"id,x\n1,2\n2,3\n3,1O\n", {}, "numbers and the text '1O'"),
    "dates in doubt": (b"id,x\n1,01/02/2020\n2,02/03/2020\n", {}, "day and month are in doubt"),
    "another encoding": ("id,größe\n1,2\n".encode("latin-1"), {}, "is not utf-8 text; say which with --encoding"),
    "an unknown encoding": (b"id,x\n1,2\n", {"encoding": "klingon"}, "is not klingon text"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0", {}, "is not utf-8 text"),
    "a workbook": (b"PK\x03\x04\x14\0\x06\0\x08\0", {}, "is a workbook or Parquet, no CSV; save a workbook as CSV"),
    "Parquet by another name": (b"PAR1\x15\x04\x15", {}, "let Parquet's name end in .parquet"),
    "half a gzip": (gzip.compress(b"id,x\n1,2\n")[:12], {}, "cannot read"),
    "infinities": (b"id,x\n1,inf\n2,3\n", {}, "infinite"),
    "names as text": (b"id,x\n" + b"".join(b"%d,name%d\n" % (i, i) for i in range(1100)), {}, "text with 1100 values"),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_tables_are_one_sentence(name, tmp_path):
    from securegbm.tables.binning import BinConfig

    data, dialect, what = WRONG[name]
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(SecureGBMError, match=what) as end:
        Table.read(tmp_path / "t.csv", "id", (), Dialect(**dialect))[0].bin(BinConfig())
    assert "\n" not in str(end.value)


def test_ids_are_text_whatever_they_spell(tmp_path):
    (tmp_path / "t.csv").write_text("id,x\nNA,1\nnull,2\nNone,3\n007,4\n1e5,5\nnan,6\n")
    assert Table.read(tmp_path / "t.csv", "id")[0].ids == ("NA", "null", "None", "007", "1e5", "nan")


def test_bad_dialects_and_absent_pyarrow(tmp_path, monkeypatch):
    for dialect, what in (({"separator": "ab"}, "not one character"), ({"decimal": ";"}, "not '.' or ','")):
        with pytest.raises(SecureGBMError, match=what):
            Dialect(**dialect)
    monkeypatch.setattr(pandas, "read_parquet", lambda path: (_ for _ in ()).throw(ImportError("no pyarrow")))
    with pytest.raises(SecureGBMError, match="needs pyarrow; install the extra `arrow`"):
        read_frame(tmp_path / "t.parquet", "id")


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_arrow_files(kind, tmp_path):
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"id": [1, 2], "x": [2.5, None], "when": pandas.to_datetime(["1970-01-03", "1970-01-04"])})
    path = tmp_path / f"t.{kind}"
    getattr(frame, f"to_{kind}")(path)
    table, _ = Table.read(path, "id")
    assert np.array_equal(table.values, [[2.5, 2.0], [NAN, 3.0]], equal_nan=True)
    assert table.ids == ("1", "2")


def test_rules_of_training_hold_when_serving(tmp_path):
    """Unseen categories are missing; a category keeps its number though others come or go."""
    (tmp_path / "a.csv").write_text("id,c,t,d,n\n1,red,true,2020-01-01,1\n2,blue,false,2020-01-02,2\n3,green,,,3\n")
    (tmp_path / "b.csv").write_text("id,c,t,d,n\n9,violet,TRUE,2020-01-02,7\n8,red,0,,8\n")
    rules = Table.read(tmp_path / "a.csv", "id")[0].rules
    assert sorted(rules) == ["c", "d", "t"]
    values = Table.read(tmp_path / "b.csv", "id", rules=rules)[0].values
    day = 18263.0
    assert np.array_equal(values, [[NAN, 1, day, 7], [2, 0, NAN, 8]], equal_nan=True)
    with pytest.raises(SecureGBMError, match="held numbers at training and holds text now"):
        apply(pandas.Series(["x"]), {"kind": "number"}, "column 'n'")


@pytest.mark.parametrize(
    ("kind", "field"), [("date", "31.12.2021"), ("date", "2021-02-30"), ("date", 44562), ("truth", "yes")]
)
def test_fields_of_another_form_than_at_training_are_no_missing_ones(kind, field):
    """A whole file of dates as a spreadsheet writes them was scored as if every date were missing."""
    with pytest.raises(SecureGBMError, match=f"column 'd' holds '{field}', which is no {kind}"):
        apply(pandas.Series([None, field], dtype=object), {"kind": kind}, "column 'd'")


def test_a_date_that_no_calendar_has_is_refused_at_training(tmp_path):
    (tmp_path / "a.csv").write_text("id,d\n1,2021-02-28\n2,2021-02-30\n")
    with pytest.raises(SecureGBMError, match="holds '2021-02-30', which is no date"):
        Table.read(tmp_path / "a.csv", "id")


def test_rules_are_kept_in_both_halves(problem, quick, tmp_path):
    from securegbm.feature_party.party import FeatureParty
    from securegbm.feature_party.policy import FeaturePolicy
    from securegbm.label_party.party import LabelParty
    from securegbm.label_party.predict import Predictor
    from securegbm.model.halves import FeatureHalf, LabelHalf
    from securegbm.wire.channel import LocalChannel

    rng = np.random.default_rng(0)
    for name in "ab":
        colour = rng.choice(["red", "green", "blue"], 90)
        frame = pandas.DataFrame({"id": range(90), f"{name}colour": colour, f"{name}x": rng.normal(size=90)})
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    tables = [Table.read(tmp_path / f"{name}.csv", "id")[0] for name in "ab"]
    party = FeatureParty(tables[1], FeaturePolicy(allow_plain=True), b"k")
    labels = tables[0].values[:, 0] > 0.5
    label = LabelParty(tables[0], labels, quick(), LocalChannel(party), key=b"k")
    half = label.train()
    assert LabelHalf.from_dict(half.to_dict()).rules == {"acolour": {"kind": "category", "values": ["blue", "green", "red"]}}
    assert "bcolour" in FeatureHalf.from_dict(party.half(label.run).to_dict()).rules

    with_its_rules = Table.read(tmp_path / "a.csv", "id", rules=half.rules)[0]
    assert Predictor(half, LocalChannel(party), b"k").scores(with_its_rules).shape == (1, 90)
    frame = pandas.read_csv(tmp_path / "a.csv").replace({"acolour": {"blue": "amber"}})
    frame.to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(SecureGBMError, match="'acolour' became numbers by another rule"):
        Predictor(half, LocalChannel(party), b"k").scores(Table.read(tmp_path / "new.csv", "id")[0])


class Direct:
    """A channel to a party in this process."""

    def __init__(self, party):
        self.party = party

    def call(self, data):
        return self.party.handle(data)


@pytest.mark.parametrize("multiple", [1, 50])
def test_alignment_finds_the_common_ids_in_one_order_and_shows_no_others(multiple):
    mine = [f"customer {i}" for i in range(60)]
    theirs = [f"customer {i}" for i in range(40, 95)]
    sent = []
    party = AlignParty(theirs, b"k", multiple, log=lambda way, message, size, _: sent.append(message))
    common = align(mine, Direct(party), b"k", multiple)
    assert [mine[i] for i in common] == [theirs[i] for i in party.common]
    assert {mine[i] for i in common} == {f"customer {i}" for i in range(40, 60)}
    assert common != sorted(common)
    seen = b"".join(part for message in sent for part in message.parts)
    assert not [name for name in (*mine, *theirs) if name.encode() in seen]
    sizes = [len(message.parts[0]) // 32 for message in sent[:1]]
    assert sizes == [60 if multiple == 1 else 100]


@pytest.mark.parametrize("mine", [True, False])
def test_an_alignment_of_folded_and_unfolded_ids_is_refused(mine):
    """Ids in capitals were dropped from both tables as if only one party had them."""
    party = AlignParty(["A"] if mine else ["a"], b"k", fold_case=not mine)
    with pytest.raises(SecureGBMError, match="--fold-case at both"):
        align(["a"] if mine else ["A"], Direct(party), b"k", fold_case=mine)
    both = AlignParty(["a"], b"k", fold_case=True)
    assert align(["a"], Direct(both), b"k", fold_case=True) == both.common == [0]


def test_masks_differ_in_every_alignment():
    seen = []
    for _ in range(2):
        party = AlignParty(["a"], b"k", log=lambda way, message, size, _: seen.append(message.parts[0]))
        align(["a"], Direct(party), b"k")
    assert len({bytes(part) for part in seen if len(part) == 32}) == 4


def test_ids_are_made_canonical_and_duplicates_are_named():
    assert canonical([" a", "Ａ", "b "]) == ["a", "A", "b"]
    with pytest.raises(SecureGBMError, match="the id 'a' stands in rows 1 and 3"):
        canonical(["a", "b", " a "])
    with pytest.raises(SecureGBMError, match="rows 1 and 2"):
        canonical(["A", "a"], fold_case=True)


def test_a_cheating_aligner_gets_one_sentence():
    from securegbm.wire.channel import Conversation
    from securegbm.wire.messages import Kind, new_run

    told = []
    for size, what in ((31, "wrong length"), (32, "no point of the group"), (32 * 9, "more than 8")):
        parts = [bytes(size)]
        talk = Conversation(Direct(AlignParty(["a"], b"k", most=8, tell=told.append)), new_run(), b"k")
        with pytest.raises(SecureGBMError, match=what):
            talk.ask(Kind.ALIGN, node=0, parts=parts)
    assert len(told) == 3
    with pytest.raises(SecureGBMError, match="aligns ids now"):
        Conversation(Direct(AlignParty(["a"], b"k")), new_run(), b"k").ask(Kind.ALIGN, node=1, parts=[bytes(32)])
    with pytest.raises(SecureGBMError, match="secrets differ"):
        align(["a"], Direct(AlignParty(["a"], b"k")), b"other")


def test_two_folders_are_aligned_by_the_command(tmp_path, monkeypatch, capsys):
    import threading

    from securegbm.cli import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("id,x\n" + "".join(f"C{i},{i}.50\n" for i in range(20)))
    (tmp_path / "b.csv").write_text("key;y\n" + "".join(f"c{i};{i}\n" for i in range(10, 40)))
    address = f"127.0.0.1:{free_port()}"
    link = ["--address", address, "--insecure-loopback", "--fold-case", "--round-to", "100"]
    words = ["align", "--side", "party-b", "--data", "b.csv", "--id-column", "key", "--out", "b2.csv", *link]
    other = threading.Thread(target=main, args=(words,))
    other.start()
    main(["align", "--side", "party-a", "--data", "a.csv", "--out", "a2.csv", *link])
    other.join()
    a, b = ([line.split(",") for line in (tmp_path / f"{name}2.csv").read_text().splitlines()[1:]] for name in "ab")
    assert [row[0] for row in a] == [row[0] for row in b]
    assert sorted(row[0] for row in a) == [f"c{i}" for i in range(10, 20)]
    assert {row[1] for row in a} == {f"{i}.50" for i in range(10, 20)}
    assert "10 of 20 rows are common" in capsys.readouterr().out


def test_a_serving_table_is_read_again_when_it_changes(tmp_path):
    import threading

    from securegbm.align.tables import reloaded

    path, heard, told = tmp_path / "s.csv", threading.Event(), []
    path.write_text("1")

    def read():
        heard.set()
        if path.read_text() == "bad":
            raise SecureGBMError("it is bad")

    reloaded(path, read, told.append, every=0.02)
    for text in ("two", "bad"):
        heard.clear()
        path.write_text(text)
        assert heard.wait(10)
    while len(told) < 2:
        threading.Event().wait(0.02)
    assert told == ["s.csv was read again", "s.csv was not read again: it is bad"]
