"""Every verb, end to end, in processes and in this one."""

import http.client
import importlib.util
import json
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import lightgbm
import numpy as np
import pytest

from claimkit.testing import own_process
from claimkit.testing.ports import free_port
from securegbm.cli import main

SECUREGBM = [sys.executable, "-c", "from securegbm.cli import main; main()"]


@pytest.fixture
def folder(problem, tmp_path, monkeypatch):
    """Both parties' CSV files and certificates, as the two would have them."""
    import pandas

    values, labels, _ = problem(300, 2)
    ids = [f"c{i}" for i in range(300)]
    own = pandas.DataFrame(values[:, :4], columns=list("abcd")).assign(id=ids, label=labels.astype(int))
    other = pandas.DataFrame(values[:, 4:], columns=list("efgh")).assign(id=ids)
    own.to_csv(tmp_path / "a.csv", index=False)
    other.to_csv(tmp_path / "b.csv", index=False)
    monkeypatch.chdir(tmp_path)
    main(["certs", "--name", "party-a"])
    main(["certs", "--name", "party-b"])
    return tmp_path


@pytest.fixture
def feature_party(folder):
    """`securegbm party-b serve` as its own process; its address."""
    command = [*SECUREGBM, "party-b", "serve", "--data", "b.csv", "--address", "127.0.0.1:0", "--allow-toy"]
    process = subprocess.Popen([*command, "--workers", "0"], cwd=folder, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    yield "127.0.0.1:" + line.split()[-1]
    process.terminate()
    process.wait()
    process.stdout.close()


def fails(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    return capsys.readouterr().err


def test_train_predict_export_audit_and_serve(folder, feature_party, capsys):
    train = ["party-a", "train", "--data", "a.csv", "--address", feature_party, "--encryption", "toy", "--workers", "0"]
    main([*train, "--trees", "2", "--num-leaves", "4", "--max-bin", "7"])
    out = capsys.readouterr().out
    assert "tree    0" in out
    assert "2 trees" in out
    assert "gain by party" in out

    main(["party-a", "predict", "--data", "a.csv", "--out", "p.csv", "--address", feature_party, "--contributions", "c.csv"])
    main(["party-a", "predict", "--data", "a.csv", "--out", "q.csv", "--address", feature_party, "--path-only"])
    assert (folder / "p.csv").read_text() == (folder / "q.csv").read_text()
    predicted = np.loadtxt(folder / "p.csv", delimiter=",", skiprows=1, usecols=1)

    half = next((folder / "party-b").glob("runs/*/model.json"))
    exported = ["export", "--label-half", "party-a/model.json", "--feature-half", str(half), "--out", "joint.txt"]
    assert "consent" in fails(exported, capsys)
    main([*exported, "--i-consent"])
    values = np.hstack([np.genfromtxt(folder / f"{side}.csv", delimiter=",", skip_header=1, usecols=range(4))
                        for side in "ab"])  # fmt: skip
    joint = lightgbm.Booster(model_file=str(folder / "joint.txt"))
    assert np.allclose(joint.predict(values), predicted, atol=1e-12)
    added = np.loadtxt(folder / "c.csv", delimiter=",", skiprows=1, usecols=range(1, 10))
    assert np.allclose(joint.predict(values, pred_contrib=True), added, atol=1e-10)
    names = (folder / "c.csv").read_text().splitlines()[0].split(",")
    assert names == ["id", *"abcd", *(f"feature party #{i}" for i in range(4)), "expected score"]

    check_runs(folder, train, feature_party, capsys)
    for side, learned in (("a", "exact sums of gradients"), ("b", "which rows are in the node")):
        main(["audit", "--log", f"party-{side}/messages.jsonl", "--messages"])
        text = capsys.readouterr().out
        assert learned in text
        assert "SUMS" in text
    log = (folder / "party-b" / "messages.jsonl").read_text()
    assert not {"nonce", "ids", "parameters"} & {name for line in log.splitlines() for name in json.loads(line)["fields"]}
    check_scoring(folder, feature_party, values, predicted)


def check_runs(folder, train, feature_party, capsys):
    """Runs by id: a warm start, an earlier model again, other settings refused, one list on both sides, one log."""
    small = ["--num-leaves", "4", "--max-bin", "7"]
    assert "another settings (n_estimators)" in fails([*train, "--trees", "3", *small], capsys)
    first = (folder / "party-a" / "model.json").resolve().parent.name
    predict = ["party-a", "predict", "--data", "a.csv", "--address", feature_party, "--out"]
    main([*train, "--trees", "1", *small, "--continue", "securegbm"])
    main([*predict, "r.csv"])
    assert (folder / "r.csv").read_text() != (folder / "p.csv").read_text()
    lists = []
    for state in ("party-a", "party-b"):
        capsys.readouterr()
        main(["models", "list", "--state", state])
        lists.append([line.split()[:5] for line in capsys.readouterr().out.splitlines()[1:]])
    assert [line[0] for line in lists[0]] == [line[0] for line in lists[1]]
    assert [line[3] for line in lists[0]] == ["2", "3"]
    main(["models", "importance", "--run", first[:8]])
    assert re.search(r"feature party #\d +\d+ +\d", capsys.readouterr().out)
    main(["models", "importance", "--run", first[:8], "--state", "party-b"])
    assert re.search(r"^[efgh] +\d+$", capsys.readouterr().out, re.MULTILINE)
    shown = []
    for state in ("party-a", "party-b"):
        main(["models", "show", "--run", first[:8], "--state", state])
        shown.append(json.loads(capsys.readouterr().out))
    assert shown[0]["last"] == shown[1]["last"]
    main(["models", "use", "--run", first])
    main([*predict, "r.csv"])
    assert (folder / "r.csv").read_text() == (folder / "p.csv").read_text()
    main(["export", "--out", "by-run.txt", "--i-consent"])
    assert (folder / "by-run.txt").read_text() == (folder / "joint.txt").read_text()
    main(["models", "retire", "--run", lists[0][1][0], "--state", "party-b"])
    assert "serves no finished model of that run" in fails([*predict, "s.csv", "--model",
        f"party-a/runs/{lists[0][1][0]}/model.json"], capsys)  # fmt: skip
    capsys.readouterr()
    main(["audit", "--log", "party-a/messages.jsonl", "--against", "party-b/messages.jsonl", "--verify"])
    assert "both logs agree" in capsys.readouterr().out


def check_scoring(folder, feature_party, values, predicted):
    """`securegbm party-a serve` as its own process: scores, refusals, a feature party that is gone, Ctrl-C."""
    counters = f"127.0.0.1:{free_port()}"
    command = own_process("securegbm", "party-a", "serve", "--listen", "127.0.0.1:0", "--address", feature_party,
                          "--patience", "2", "--metrics", counters)  # fmt: skip
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=folder, **pipes)
    try:
        address = process.stdout.readline().split()[-1]
        rows = [
            {"id": f"c{i}", "values": {name: float(v) for name, v in zip("abcd", values[i, :4], strict=True) if v == v}}
            for i in (5, 0, 299)
        ]
        assert post(address, {"rows": rows}) == (200, {"predictions": pytest.approx(predicted[[5, 0, 299]].tolist())})
        for bad, code, what in (
            ({"rows": 3}, 400, "send"),
            ({"rows": [{"id": "c5", "values": {"zzz": 1}}]}, 400, "unknown column"),
        ):
            found, said = post(address, bad)
            assert found == code
            assert what in said["error"]
        assert post(address.replace("/score", "/other"), {})[0] == 404
        code, said = post(address, {"rows": [rows[0], {"id": "nobody", "values": {}}]})
        assert (code, said["incomplete"], len(said["predictions"])) == (200, [1], 2)
        assert post(address, {"rows": rows[:1]})[1] == {"predictions": pytest.approx([predicted[5]])}
        with urllib.request.urlopen(f"http://{counters}/metrics", timeout=60) as answer:
            assert 'kind="EVALUATE",direction="sent"} 3' in answer.read().decode()
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not [line for line in (out + err).splitlines() if "c299" in line]


def post(address, content):
    """Status and JSON of the answer."""
    request = urllib.request.Request(address, json.dumps(content).encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_the_scoring_service_says_when_the_feature_party_is_gone(folder, capsys):
    from securegbm.app.scoring import ScoringServer
    from securegbm.label_party.predict import Predictor
    from securegbm.trees.objectives import Objective
    from securegbm.wire.network import NetworkChannel

    class Half:
        run, names, objective, rules = bytes(16), ("a",), Objective("binary"), {}
        others, other_nodes, columns = [("feature party", 1)], [], []

    channel = NetworkChannel("127.0.0.1:1", insecure_loopback=True, patience=0.1)
    server = ScoringServer(("127.0.0.1", 0), Predictor(Half(), channel))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}/score"
        code, said = post(address, {"rows": [{"id": "x", "values": {"a": 1}}]})
        assert code == 503
        assert "cannot be reached" in said["error"]
        connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
        for length, expected in (("-1", 411), ("many", 411), (str(1 << 40), 413)):
            connection.putrequest("POST", "/score")
            connection.putheader("Content-Length", length)
            connection.endheaders()
            answer = connection.getresponse()
            answer.read()
            assert answer.status == expected
            connection.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        channel.close()


def test_bad_input_is_one_sentence_and_exit_code_2(folder, capsys):
    train = ["party-a", "train", "--data", "a.csv"]
    assert "has no column 'target'" in fails([*train, "--label-column", "target"], capsys)
    assert "run `securegbm certs`" in fails([*train, "--certs", "nowhere"], capsys)
    assert "neither party-a nor party-b" in fails(["certs", "--name", "eve"], capsys)
    assert "for this machine only" in fails([*train, "--insecure-loopback", "--address", "10.0.0.1:1"], capsys)
    assert "does not exist" in fails(["audit", "--log", "nothing.jsonl"], capsys)
    assert "learning_rate is 3" in fails([*train, "--learning-rate", "3"], capsys)
    assert "lambda_l2 is nan; give a finite number" in fails([*train, "--lambda-l2", "nan"], capsys)
    assert "deadline is nan" in fails([*train, "--deadline", "nan"], capsys)
    for verb in (["certs"], ["certs", "rotate"]):
        assert "days is 3000000; give" in fails([*verb, "--days", "3000000"], capsys)
    (folder / "one.csv").write_text("id,label,a\n1,1,0.5\n2,1,0.7\n")
    one = [*train, "--data", "one.csv", "--insecure-loopback", "--address", "127.0.0.1:1"]
    assert "all labels of the training rows are 1, which leaves nothing to learn" in fails(one, capsys)
    assert "no name of a picture" in fails(["demo", "--out", "x.txt"], capsys)
    sentence = fails(["party-a", "predict", "--data", "a.csv", "--out", "p.csv", "--model", "none.json"], capsys)
    assert sentence.count("\n") == 1


def test_common_verbs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(["cite"])
    assert "1911.11997" in capsys.readouterr().out
    main(["list"])
    assert "S1" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["reproduce", "S6", "--preset", "smoke", "--out", "r"])
    assert end.value.code == 0
    assert (tmp_path / "r" / "S6.smoke.json").exists()


def test_the_demo_draws_its_picture(tmp_path):
    command = [*SECUREGBM, "demo", "--trees", "1", "--workers", "0", "--out", "demo.png"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert "SecureGBM" in done.stdout
    assert (tmp_path / "demo.png").read_bytes()[:4] == b"\x89PNG"


def test_without_matplotlib_the_demo_still_says_what_it_found(tmp_path, capsys, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "matplotlib" else find_spec(name))
    main(["demo", "--trees", "1", "--workers", "0", "--out", str(tmp_path / "demo.png")])
    out = capsys.readouterr().out
    assert "SecureGBM" in out and "securegbm[plots]" in out
    assert list(tmp_path.iterdir()) == []


def test_the_options_have_the_defaults_of_what_they_make():
    from securegbm.app.options import ColumnOptions, PolicyOptions, ProtocolOptions, TreeOptions, config_of
    from securegbm.config import TrainConfig
    from securegbm.errors import SecureGBMError
    from securegbm.feature_party.policy import FeaturePolicy
    from securegbm.tables.table import Table

    assert config_of(TreeOptions(), ProtocolOptions()) == TrainConfig()
    assert FeaturePolicy(**vars(PolicyOptions())) == FeaturePolicy()
    given = config_of(TreeOptions(feature_fraction=0.5, max_bin=31, scale_pos_weight=2.0), ProtocolOptions(privacy_bits=8))
    assert (given.draws.feature_fraction, given.bins.max_bin, given.objective.scale_pos_weight, given.privacy_bits) == (
        0.5, 31, 2.0, 8,
    )  # fmt: skip
    table = ColumnOptions(categorical=("x0",), rising=("x1",), falling=("x2",)).declare(Table.of(np.zeros((3, 3))))
    assert (table.categorical, table.monotone) == (("x0",), {"x1": 1, "x2": -1})
    with pytest.raises(SecureGBMError, match="cannot rise and fall"):
        ColumnOptions(rising=("x1",), falling=("x1",)).declare(table)
