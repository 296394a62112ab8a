"""The script that starts a Ray cluster on the nodes of a SLURM job, by stand-ins for what it calls."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "examples" / "ray_on_slurm.sh"

SRUN = """#!/usr/bin/env bash
echo "srun $*" >> "$CALLS"
while [[ $1 == --* ]]; do
    [[ $1 == --nodes=* ]] && nodes=${1#--nodes=}
    shift
done
NODES=$nodes exec "$@"
"""
RAY = """#!/usr/bin/env bash
if [ "$1" = status ]; then
    cat "$JOINED" 2> /dev/null
else
    for ((i = 0; i < NODES; i++)); do echo " 1 node_$i" >> "$JOINED"; done
    echo $$ >> "$PIDS"
    exec sleep 600
fi
"""
STAND_INS = {
    "srun": SRUN,
    "ray": RAY,
    "scontrol": '#!/usr/bin/env bash\n[ "$*" = "show hostnames a[1-3]" ] && printf "%s\\n" a1 a2 a3 || echo "${3}"\n',
    "hostname": "#!/usr/bin/env bash\necho 10.0.0.1 fe80::1\n",
}


@pytest.fixture
def job(tmp_path):
    """(words, environment) → the script in a job on such stand-ins, begun; and what they noted."""
    for name, text in STAND_INS.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    begun = []

    def of(*words, nodes="a[1-3]", **more):
        known = {name.upper(): str(tmp_path / f"{name}.txt") for name in ("calls", "joined", "pids")}
        known |= {"SLURM_JOB_NODELIST": nodes, "SLURM_CPUS_ON_NODE": "16", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        given = {name: value for name, value in {**os.environ, **known, **more}.items() if value}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        begun.append(subprocess.Popen([SCRIPT, *words], env=given, text=True, start_new_session=True, **pipes))
        return begun[-1]

    yield of
    for one in begun:
        one.kill()
        one.communicate()


def alive(tmp_path):
    """Whether any of the cluster's processes is."""
    return [pid for pid in (tmp_path / "pids.txt").read_text().split() if Path(f"/proc/{pid}/cmdline").exists()]


def test_a_head_and_all_others_are_started_and_the_command_finds_them(job, tmp_path):
    told = 'echo "$RAY_ADDRESS $RAY_AUTH_MODE ${#RAY_AUTH_TOKEN}"; exit 7'
    script = job("bash", "-c", told, SLURM_GPUS_ON_NODE="4")
    printed, complaint = script.communicate(timeout=60)
    assert (script.returncode, printed, complaint) == (7, "10.0.0.1:6379 token 64\n", "")
    calls = sorted((tmp_path / "calls.txt").read_text().splitlines())
    has = "--num-cpus=16 --num-gpus=4"
    assert calls == sorted(
        [
            "srun --nodes=1 --ntasks=1 --nodelist=a1 hostname --ip-address",
            "srun --nodes=1 --ntasks=1 --nodelist=a1 --cpus-per-task=16 ray start --head --block "
            f"--node-ip-address=10.0.0.1 --port=6379 --include-dashboard=false {has}",
            "srun --nodes=2 --ntasks=2 --exclude=a1 --cpus-per-task=16 ray start --address=10.0.0.1:6379 "
            f"--block {has}",
        ]
    )
    assert alive(tmp_path) == []


def test_a_job_that_is_stopped_lets_its_command_end_and_then_its_cluster(job, tmp_path):
    mark = tmp_path / "running"
    script = job("bash", "-c", f"trap 'echo kept; kill %1; exit 130' TERM; touch {mark}; sleep 600 & wait")
    deadline = time.monotonic() + 60
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    script.send_signal(signal.SIGTERM)
    printed, _ = script.communicate(timeout=60)
    assert (script.returncode, printed) == (130, "kept\n")
    assert alive(tmp_path) == []
