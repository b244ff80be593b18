"""A choice by eye is blinded, can be made again, and is counted right."""

import json

import pytest
import torch

from claimkit.errors import InputError
from claimkit.style.images import read_image
from claimkit.style.sheets import ask_by_eye, blinded, counted, ours_is_left


def test_the_sides_are_drawn_by_name_and_the_sheets_show_them(tmp_path):
    names = [f"pair {i}" for i in range(40)]
    white, black = torch.ones(3, 32, 32), torch.zeros(3, 32, 32)
    blinded(((n, white, white, white, black) for n in names), tmp_path, rows=3, side=32)
    assert 10 < sum(map(ours_is_left, names)) < 30
    assert len(list(tmp_path.glob("sheet-*.png"))) == 14
    first = read_image(tmp_path / "sheet-01.png")
    assert first.shape[2] == 4 * (32 + 8)
    left, right = (first[:, 10:20, 40 * column + 10 : 40 * column + 20].mean().item() for column in (2, 3))
    assert (left, right) == ((1, 0) if ours_is_left(names[0]) else (0, 1))
    assert json.loads((tmp_path / "votes.json").read_text()) == dict.fromkeys(names, "")


def test_votes_are_counted_for_us_against_us_and_as_ties():
    names = [f"pair {i}" for i in range(10)]
    ours = {n: "left" if ours_is_left(n) else "right" for n in names}
    other = {n: "right" if v == "left" else "left" for n, v in ours.items()}
    votes = {**{n: ours[n] for n in names[:5]}, **{n: other[n] for n in names[5:8]}, **dict.fromkeys(names[8:], "same")}
    found = counted(votes)
    assert (found["won"], found["tied"], found["lost"], found["share"]) == (5, 2, 3, 0.7)
    assert (found["low"], found["high"]) == (0.397, 0.892)  # Wilson's interval of 7 in 10


@pytest.mark.parametrize("votes", [{}, {"a": ""}, {"a": "left", "b": "Right"}])
def test_votes_that_are_missing_or_misspelt_are_refused(votes):
    with pytest.raises(InputError, match=r"no votes|expected left, right, same"):
        counted(votes)


def test_the_command_writes_sheets_counts_votes_and_says_what_is_missing(tmp_path, monkeypatch, capsys):
    def pictures(data):
        return [(str(data), *(torch.full((3, 32, 32), x) for x in (1.0, 1.0, 0.8, 0.2)))]

    monkeypatch.setattr("sys.argv", ["by_eye.py", "pair", str(tmp_path)])
    ask_by_eye("Choose.", pictures)
    assert json.loads((tmp_path / "votes.json").read_text()) == {"pair": ""}
    (tmp_path / "votes.json").write_text(json.dumps({"pair": "left" if ours_is_left("pair") else "right"}))
    monkeypatch.setattr("sys.argv", ["by_eye.py", "pair", "--votes", str(tmp_path / "votes.json")])
    ask_by_eye("Choose.", pictures)
    assert json.loads(capsys.readouterr().out)["won"] == 1
    (tmp_path / "votes.json").write_text(json.dumps({"pair": ""}))
    with pytest.raises(SystemExit):
        ask_by_eye("Choose.", pictures)
    assert "votes.json: votes = ['']: expected left, right, same" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["by_eye.py", "pair"])
    with pytest.raises(SystemExit) as ended:
        ask_by_eye("Choose.", pictures)
    assert ended.value.code == 2
    assert "say where the sheets shall be" in capsys.readouterr().err
