"""The two parties as two hosts: network namespaces that share one wire and nothing else."""

import shutil
import subprocess
import sys

import pandas
import pytest

from securegbm.cli import main

SCRIPT = """
set -e
unshare --net sleep 900 & other=$!
until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
there="nsenter --target $other --net"
ip link add name wire-a type veth peer name wire-b netns $other
ip address add 10.0.0.1/24 dev wire-a; ip link set wire-a up
$there ip address add 10.0.0.2/24 dev wire-b; $there ip link set wire-b up
[ -n "$SECUREGBM" ] || exit 0
exec 3< <(cd host-b && exec $there $SECUREGBM party-b serve --data b.csv --address 10.0.0.2:50551 --workers 0 --allow-toy)
read -r line <&3
cd host-a
$SECUREGBM party-a train --data a.csv --address 10.0.0.2:50551 --encryption toy --workers 0 \
    --trees 2 --num-leaves 4 --max-bin 7
$SECUREGBM party-a predict --data a.csv --address 10.0.0.2:50551 --out p.csv
"""


def hosts(folder, program):
    """Run the script as root and first process of namespaces of its own: whatever it leaves is killed when it ends."""
    own = ["--user", "--map-root-user", "--net", "--pid", "--mount-proc", "--fork", "--kill-child"]
    command = ["unshare", *own, "bash", "-c", SCRIPT]
    return subprocess.run(command, cwd=folder, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SECUREGBM": program},
                          capture_output=True, text=True, timeout=800)  # fmt: skip


def test_two_network_namespaces_train_and_predict(problem, tmp_path, monkeypatch):
    if not all(map(shutil.which, ("unshare", "nsenter", "ip", "bash"))) or hosts(tmp_path, "").returncode:
        pytest.skip("this system does not let its users make network namespaces")
    values, labels, _ = problem(300, 2)
    table = pandas.DataFrame(values, columns=list("abcdefgh")).assign(id=[f"c{i}" for i in range(300)], label=labels)
    monkeypatch.chdir(tmp_path)
    for own, columns in (("a", [*"abcd", "label"]), ("b", [*"efgh"])):
        (tmp_path / f"host-{own}").mkdir()
        table[["id", *columns]].to_csv(f"host-{own}/{own}.csv", index=False)
        main(["certs", "--name", f"party-{own}", "--out", f"host-{own}/certs"])
    for own, other in ("ab", "ba"):
        shutil.copy(f"host-{own}/certs/party-{own}.crt", f"host-{other}/certs")
    (tmp_path / "securegbm").write_text(f"#!{sys.executable}\nfrom securegbm.cli import main\nmain()\n")
    (tmp_path / "securegbm").chmod(0o755)
    done = hosts(tmp_path, str(tmp_path / "securegbm"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 trees" in done.stdout
    assert len((tmp_path / "host-a" / "p.csv").read_text().splitlines()) == 301
    assert not list((tmp_path / "host-a").glob("**/party-b.key")) + list((tmp_path / "host-b").glob("**/party-a.key"))
