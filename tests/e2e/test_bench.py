"""`bicap bench` on this machine: a table, costs that `bicap plan` then uses, and one line where it cannot."""

import json
import signal
import subprocess
from pathlib import Path

from capture.estimate.costs import COEFFICIENTS
from testbed.patience import PATIENCE, Stopwatch, wait_until
from testbed.tool import BICAP, bicap


def test_a_calibration_is_what_the_plan_uses(tmp_path: Path) -> None:
    file = tmp_path / "made" / "costs.json"
    done = bicap("bench", "--calibrate", "--seconds", "0.05", "--costs", str(file))
    assert done.code == 0
    assert all("packets were lost" in line for line in done.stderr.splitlines())
    assert f"written to {file}" in done.stdout
    costs = json.loads(file.read_text())
    assert set(costs["coefficients"]) == set(COEFFICIENTS)
    planned = bicap("plan", "-i", "lo", "--assume", "100kpps,500B", "--costs", str(file), "--json")
    assert json.loads(planned.stdout)["estimate"]["costs"] == {"origin": f"of {file}"} | costs
    words = bicap("plan", "-i", "lo", "--assume", "100kpps,500B", "--costs", str(file)).stdout
    assert f"costs     of {file}\n          {costs['source']}\n" in words


def test_invalid_costs_are_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "costs.json"
    missing = bicap("plan", "-i", "lo", "--assume", "1kpps,500B", "--costs", str(file))
    assert (missing.code, missing.stderr) == (3, f"bicap: costs {file} cannot be read: No such file or directory\n")
    file.write_text("{}")
    damaged = bicap("plan", "-i", "lo", "--assume", "1kpps,500B", "--costs", str(file))
    assert damaged.code == 5
    assert damaged.stderr == f"bicap: {file} is not a file of costs; `bicap bench --calibrate` writes it anew\n"


def test_a_user_without_privileges_is_refused(tmp_path: Path) -> None:
    words = ["setpriv", "--reuid", "65534", "--clear-groups", BICAP, "bench"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert done.stderr == "bicap: bicap bench creates network namespaces and sends from the kernel; run it as root\n"


def test_one_cpu_is_too_few() -> None:
    done = subprocess.run(["taskset", "-c", "0", BICAP, "bench"], capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert done.stderr.startswith("bicap: bicap bench needs two CPUs")
    assert len(done.stderr.splitlines()) == 1


def test_nothing_is_measured_if_the_costs_cannot_be_written(tmp_path: Path) -> None:
    watch = Stopwatch()
    done = bicap("bench", "--calibrate", "--costs", f"{tmp_path}/no/such/costs.json")
    assert done.code == 6
    assert done.stderr == f"bicap: cannot write {tmp_path}/no/such/costs.json: the directory does not exist\n"
    assert watch.seconds < 5


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [BICAP, "bench", "--repeat", "9", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_until(lambda: list(Path("/run/netns").glob("bicap-bench-*")))
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, said.strip()) == (1, "", "Aborted!")
