import random
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from claimkit import assets, errors, files, run


def test_one_seed_fixes_python_and_numpy():
    draws = []
    for _ in range(2):
        run.seed_everything(7)
        draws.append((random.random(), np.random.rand()))
    assert draws[0] == draws[1]
    with pytest.raises(errors.InputError, match="seed -1"):
        run.seed_everything(-1)


def test_torch_is_seeded_where_it_is_imported(monkeypatch):
    seen = []
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(manual_seed=seen.append))
    run.seed_everything(3)
    assert seen == [3]


def test_threads_are_limited_and_given_back(monkeypatch):
    threads = [4]
    fake = types.SimpleNamespace(get_num_threads=lambda: threads[-1], set_num_threads=threads.append)
    monkeypatch.setitem(sys.modules, "torch", fake)
    monkeypatch.setattr("claimkit.run.seeding._own_threads", {})
    run.limit_threads(1)
    run.limit_threads(None)
    assert threads == [4, 1, 4]


def test_devices_are_checked(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert run.choose_device("auto") == run.choose_device("cpu") == "cpu"
    with pytest.raises(errors.InputError, match="use --device cpu"):
        run.choose_device("cuda")
    with pytest.raises(errors.InputError, match="not known"):
        run.choose_device("tpu")


def test_no_module_of_the_core_imports_torch_and_the_command_line_imports_no_numpy():
    code = (
        "import sys, pkgutil, importlib, claimkit\n"
        "import claimkit.cli; assert 'numpy' not in sys.modules, 'numpy'\n"
        "[importlib.import_module('claimkit.' + m.name) for m in pkgutil.iter_modules(claimkit.__path__)]\n"
        "assert 'torch' not in sys.modules, 'torch'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_environment_names_versions_and_no_path():
    e = run.environment("claimkit")
    assert e["numpy"] == np.__version__
    assert e["cores"] >= 1
    assert not any("/" in str(v) for k, v in e.items() if k not in ("processor", "device"))
    assert f"numpy=={np.__version__}" in run.installed() and not any("/" in d or "@" in d for d in run.installed())
    assert run.load() >= 0
    assert str(e["cores"]) in run.machine(e)
    assert run.peak_memory_mb() > 10
    large = bytearray(200_000_000)
    large[::4096] = bytes(len(large[::4096]))  # touched
    code = "from claimkit.run import peak_memory_mb; print(peak_memory_mb())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(child.stdout) < run.peak_memory_mb() - 50, "a child does not inherit its parent's peak"


def test_the_commit_of_a_checkout_is_marked_when_it_has_changes(tmp_path):
    def git(*args):
        subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.example", *args], check=True)

    assert run.commit(tmp_path) is None
    git("init", "-q")
    (tmp_path / "f").write_text("1")
    assert run.commit(tmp_path) is None, "an untracked folder has no commit"
    git("add", "f")
    git("commit", "-qm", "one")
    clean = run.commit(tmp_path)
    assert len(clean) == 12
    (tmp_path / "results").mkdir()
    (tmp_path / "results/M3.small.json").write_text("{}")
    (tmp_path / "README.md").write_text("table")
    git("add", ".")
    assert run.commit(tmp_path) == clean and not run.changes(tmp_path), "what a run writes is no change of its code"
    (tmp_path / "f").write_text("2")
    (tmp_path / "new.py").write_text("x = 3")
    assert run.commit(tmp_path) == clean + "+"
    difference = run.changes(tmp_path)
    assert "+2" in difference and "+x = 3" in difference and "M3" not in difference
    (tmp_path / "f").write_text("3" * 300_000)
    assert len(run.changes(tmp_path)) < 201_000 and "(cut: the difference has 300" in run.changes(tmp_path)


def test_a_run_is_resumed_or_begun_but_never_overwritten(tmp_path):
    path = run.checkpoint(tmp_path, resume=False)
    with pytest.raises(errors.InputError, match="start without --resume"):
        run.checkpoint(tmp_path, resume=True)
    path.touch()
    assert run.checkpoint(tmp_path, resume=True) == path
    with pytest.raises(errors.InputError, match="add --resume"):
        run.checkpoint(tmp_path, resume=False)


def test_the_name_of_a_picture_is_checked_before_the_work():
    run.picture(Path("a.PNG"))
    run.picture(Path("a.webp"), (".jpg", ".webp"))
    with pytest.raises(
        errors.InputError, match=r"^a\.txt is no name of a picture: use one that ends in \.png, \.pdf or \.svg$"
    ):
        run.picture(Path("a.txt"))


def test_a_missing_optional_dependency_is_one_sentence():
    run.require("json", "Numbers", "nothing")
    with pytest.raises(errors.MissingPackageError, match=r"^Pictures need no_such_module, .* pip install 'toy\[plots\]'$"):
        run.require("no_such_module", "Pictures", "toy[plots]")


def test_progress_is_silent_outside_a_terminal(capfd):
    assert list(run.progress(range(3), "x")) == [0, 1, 2]
    assert capfd.readouterr() == ("", "")


def test_a_file_that_fails_half_way_leaves_the_old_one(tmp_path):
    path = tmp_path / "deep" / "f.txt"
    files.write_atomic(path, "old")

    def fail():
        with files.atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["f.txt"]


def test_digests_of_folders_know_names_and_contents(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    one = files.sha256(tmp_path)
    (tmp_path / "a" / "x").write_text("2")
    two = files.sha256(tmp_path)
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    assert len({one, two, files.sha256(tmp_path)}) == 3


def test_digests_of_folders_know_what_links_lead_to(tmp_path):
    """Two folders of links to other data were one to a record, which was taken up as measured on the same."""
    for name, text in (("here", "1"), ("there", "2")):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "f").write_text(text)
    (tmp_path / "data").mkdir()
    found = []
    for name in ("here", "there"):
        (tmp_path / "data" / "set").symlink_to(tmp_path / name, target_is_directory=True)
        found.append(files.sha256(tmp_path / "data"))
        (tmp_path / "data" / "set").unlink()
    shutil.copytree(tmp_path / "here", tmp_path / "data" / "set")
    assert found[0] == files.sha256(tmp_path / "data") != found[1]
    (tmp_path / "data" / "set" / "deep" / "up").symlink_to(tmp_path / "data", target_is_directory=True)
    assert files.sha256(tmp_path / "data") == found[0], "a link upwards ends"


def test_assets_prefer_the_option_over_the_environment_over_the_wheel(tmp_path, monkeypatch, toy):
    for place in ("option", "environment"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "f").write_text(place)
    monkeypatch.setenv("CLAIMKIT_DATA", str(tmp_path / "environment"))
    assert assets.Assets(tmp_path / "option").find("f").read_text() == "option"
    found = assets.Assets()
    assert found.find("f").read_text() == "environment"
    assert found.used == {"f": files.sha256(tmp_path / "environment" / "f")}
    with pytest.raises(errors.InputError, match="expected 0000"):
        found.find("f", "0" * 64)
    with pytest.raises(errors.NotAvailableError, match="needs the data set 'g'"):
        assets.Assets(package="toypaper").find("g")


def test_a_download_is_checked_against_its_digest(tmp_path, monkeypatch):
    import pooch

    source = tmp_path / "f.txt"
    source.write_text("1")
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache")

    class Copy:
        def __init__(self, **options): ...

        def __call__(self, url, output, pooch):
            with open(output, "wb") as f:
                f.write(source.read_bytes())

    monkeypatch.setattr(pooch.core, "choose_downloader", lambda url, progressbar: Copy())
    assert assets.download("https://example.org/f.txt", files.sha256(source), "f.txt").read_text() == "1"
    with pytest.raises(ValueError, match="hash"):
        assets.download("https://example.org/g.txt", "0" * 64, "g.txt")
