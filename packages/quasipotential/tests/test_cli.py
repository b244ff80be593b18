"""Every verb, end to end; the commands of the README."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from quasipotential.cli import main
from quasipotential.systems import load_system


def run(capsys, *arguments):
    main(list(arguments))
    return capsys.readouterr().out


def test_demo(capsys, tmp_path):
    out = run(capsys, "demo", "--out", str(tmp_path / "d.png"), "--mesh", "65", "--replicas", "20")
    assert "barriers of the quasi-potential" in out
    assert (tmp_path / "d.png").stat().st_size > 10_000


def test_solve_path_exit_wells(capsys, tmp_path):
    out = run(capsys, "solve", "cubic", "--mesh", "65", "--out", str(tmp_path / "s.npz"), "--plot", str(tmp_path / "s.png"))
    assert "largest error" in out
    assert (tmp_path / "s.npz").exists()
    assert (tmp_path / "s.png").exists()
    out = run(capsys, "path", str(tmp_path / "s.npz"), "--to", "0.4", "0.2")
    value, action = map(float, re.findall(r": (\d\.\d+)", out))
    assert action == pytest.approx(value, rel=1e-3)
    out = run(capsys, "path", "maier-stein", "--mesh", "129", "--out", str(tmp_path / "p.csv"))
    assert len((tmp_path / "p.csv").read_text().splitlines()) > 50
    out = run(capsys, "exit", "two-wells", "--noise", "0.4", "0.3", "--paths", "100", "--mesh", "129", "--radius", "0.6")
    assert "barrier" in out
    out = run(capsys, "wells", "--mesh", "65")
    assert "favours well 0" in out


@pytest.mark.parametrize(("asymmetry", "verdict"), [(0.0, "wells 0 and 1 tie"), (0.05, "favours well 0")])
def test_wells_of_equal_height_are_said_to_tie(capsys, tmp_path, asymmetry, verdict):
    file = tmp_path / "mine.py"
    file.write_text(  # no mirror of itself on the mesh: the solves differ in the last digits
        f"from quasipotential.systems import two_wells\ns = two_wells({asymmetry})\n"
        "drift, diffusion, attractors, saddles = s.drift, s.diffusion, s.attractors, s.saddles\n"
        "domain = ((-1.85, 1.7), (-1.2, 1.2))\n"
    )
    out = run(capsys, "wells", str(file), "--mesh", "65")
    assert verdict in out
    assert ("favours well" in out) == (asymmetry > 0)


def test_a_system_from_a_file(capsys, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\ndrift = lambda p: -p\nattractors = [(0.0, 0.0)]\ndomain = ((-1, 1), (-1, 1))\n"
        "exact = lambda p: np.sum(p * p, -1)\n"
    )
    assert "largest error" in run(capsys, "solve", str(file), "--mesh", "33")


@pytest.mark.parametrize(
    "arguments",
    [
        ["solve", "nothing"],
        ["solve", "cubic", "--attractor", "3"],
        ["path", "cubic", "--attractor", "3"],
        ["exit", "cubic", "--attractor", "3"],
        ["path", "nothing.npz"],
        ["wells", "cubic"],
        ["path", "cubic", "--to", "5", "5", "--mesh", "33"],
    ],
)
def test_bad_input_exits_2_with_one_sentence(capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("quasipotential: ")
    assert "\n" not in said


def test_an_interrupted_solve_leaves_no_file(tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("quasipotential.plane.kernels.sweep.march", interrupt)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        main(["solve", "cubic", "--mesh", "65", "--out", str(tmp_path / "s.npz"), "--plot", str(tmp_path / "s.png")])
    assert list(tmp_path.iterdir()) == []


def test_list_and_cite(capsys):
    assert "Q7" in run(capsys, "list")
    assert "1901.06054" in run(capsys, "cite")


def test_one_claim_end_to_end(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["reproduce", "Q6", "--preset", "smoke", "--out", str(tmp_path)])
    assert stop.value.code == 0
    assert (tmp_path / "Q6.smoke.json").exists()


def test_import_is_lazy():
    subprocess.run([sys.executable, "-c", "import quasipotential, sys; assert 'numba' not in sys.modules"], check=True)


def test_readme_examples(tmp_path, monkeypatch):
    readme = Path(__file__).parents[1] / "README.md"
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", readme.read_text(), re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_a_system_in_space(capsys, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\ndrift = lambda p: -p\nattractors = [(0.0, 0.0, 0.0)]\ndomain = ((-1, 1),) * 3\n"
        "exact = lambda p: np.sum(p * p, -1)\n"
    )
    out = run(capsys, "solve", str(file), "--mesh", "17")
    assert "17 x 17 x 17 mesh, attractor (0, 0, 0), method olim" in out
    assert float(re.search(r"largest U: (\S+)", out)[1]) < 0.03
    out = run(capsys, "path", str(file), "--mesh", "17", "--to", "0.5", "0", "0.5", "--out", str(tmp_path / "p.csv"))
    value, action = map(float, re.findall(r": (\d\.\d+)", out))
    assert action == pytest.approx(value, rel=0.02)
    rows = (tmp_path / "p.csv").read_text().splitlines()
    assert (rows[0], rows[-1]) == ("x,y,z", "0.5,0,0.5")
    for bad in (
        ["solve", str(file), "--plot", "p.png"],
        ["path", str(file), "--mesh", "17", "--to", "0.5", "0"],
        ["exit", str(file)],
        ["wells", str(file)],
    ):
        with pytest.raises(SystemExit) as stop:
            main(bad)
        assert stop.value.code == 2
        assert "\n" not in capsys.readouterr().err.strip()


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("attractors = [(0.0, 0, 0)]; domain = ((-1, 1),) * 3; periodic = (True, False, False)", "cycles or periodic axes"),
        ("cycles = [(1.0, 0, 0)]; domain = ((-1, 1),) * 3", "cycles or periodic axes, and three coordinates"),
        ("attractors = [(0.0,) * 4]; domain = ((-1, 1),) * 4", "domain must be two pairs of numbers, or three in space"),
        ("attractors = [(0.0,)]; domain = (-1, 1)", "domain must be two pairs of numbers"),
        ("attractors = [(0.0, 0, 0), (1.0, 0, 0)]; domain = ((-1, 1),) * 2", "attractors must be points of 2 coordinates"),
        ("attractors = 0.0; domain = ((-1, 1),) * 2", "attractors must be points of 2 coordinates"),
        (
            "attractors = [(0.0, 0)]; saddles = [(0.5, 0, 0)]; domain = ((-1, 1),) * 2",
            "saddles must be points of 2 coordinates",
        ),
    ],
)
def test_a_file_whose_coordinates_do_not_agree_is_refused(lines, sentence, capsys, tmp_path):
    (tmp_path / "mine.py").write_text(f"drift = lambda p: -p\n{lines}\n")
    with pytest.raises(SystemExit):
        main(["solve", str(tmp_path / "mine.py"), "--mesh", "17"])
    said = capsys.readouterr().err.strip()
    assert sentence in said and "\n" not in said


def test_the_right_word_beside_another_is_no_misspelling(tmp_path):
    (tmp_path / "mine.py").write_text(
        "drift = lambda p: -p\nattractors = [(0, 0)]\ndomain = ((-1, 1),) * 2\nsaddles = saddle = [(0.5, 0)]\nsigma = 10\n"
    )
    assert load_system(str(tmp_path / "mine.py")).saddles.tolist() == [[0.5, 0]]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("difusion = [[1, 0], [0, 2]]", "defines 'difusion', which nothing reads; write diffusion"),
        ("saddle = [(0.5, 0)]", "defines 'saddle', which nothing reads; write saddles"),
        ("drift = lambda p: -undefined * p", "The drift fails in line 4 of mine.py (NameError: name 'undefined'"),
        (
            "import numpy\ndrift = lambda p: numpy.sine(p)",
            "drift fails in line 5 of mine.py (AttributeError: module",
        ),
        ("def drift(p):\n    p -= 0.1\n    return -p", "The drift writes into the points that it is given; begin it with"),
        ("drift = lambda x, y: -x", "missing 1 required positional argument: 'y'); it must take points"),
        ("drift = lambda p: p if p[0] > 0 else -p", "(ValueError: The truth value of an array"),
        ("drift = lambda p:", "mine.py fails when it is run (SyntaxError"),
    ],
)
def test_a_slip_of_the_pen_in_a_file_is_one_sentence(lines, sentence, capsys, tmp_path):
    (tmp_path / "mine.py").write_text(
        f"drift = lambda p: -p\nattractors = [(0.0, 0.0)]\ndomain = ((-1, 1), (-1, 1))\n{lines}\n"
    )
    with pytest.raises(SystemExit) as stop:
        main(["solve", str(tmp_path / "mine.py"), "--mesh", "17"])
    said = capsys.readouterr().err.strip()
    assert stop.value.code == 2 and sentence in said and "\n" not in said


def test_a_target_is_looked_at_before_a_solve(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("quasipotential.verbs._solve", lambda *_: pytest.fail("solved in vain"))
    (tmp_path / "mine.py").write_text("drift = lambda p: -p\nattractors = [(0.0, 0, 0)]\ndomain = ((-1, 1),) * 3\n")
    for words in (["--to", "0.5", "0"], ["--to", "0", "0", "0.5", "--plot", "p.png"]):
        with pytest.raises(SystemExit):
            main(["path", str(tmp_path / "mine.py"), *words])
        assert re.search(r"give 3, one for each|a path in space is not drawn", capsys.readouterr().err, re.I)
