#!/usr/bin/env bash
# A Ray cluster on the nodes of a SLURM job, and a command that runs its cells on it:
#
#   sbatch --nodes=4 --gpus-per-node=8 --time=12:00:00 examples/ray_on_slurm.sh \
#       python -m ablations.run grid=parameterization launcher=ray results=/shared/results
#
# The package and Ray are installed where all nodes find them, and results= is a folder that all of them see. The cluster
# has a token of its own and ends with the job; a job that was cut off continues when it is submitted again.
#SBATCH --job-name=ablations
#SBATCH --exclusive
#SBATCH --signal=B:TERM@60
set -euo pipefail

if [ $# -eq 0 ]; then
    echo "error: no command is given: sbatch --nodes=N $0 python -m ablations.run … launcher=ray" >&2
    exit 2
fi
if [ -z "${SLURM_JOB_NODELIST:-}" ]; then
    echo "error: this is no SLURM job: submit it, sbatch --nodes=N $0 $*" >&2
    exit 2
fi

patience=300 # seconds for all nodes to join
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
others=$((${#nodes[@]} - 1))
one=(srun --nodes=1 --ntasks=1 --nodelist="$head")
read -r ip _ < <("${one[@]}" hostname --ip-address)

RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
export RAY_ADDRESS="$ip:${RAY_PORT:-6379}"

# Each node offers the CPUs and GPUs that the job has there; without GPUs of a job Ray looks for itself.
has=(--num-cpus="$SLURM_CPUS_ON_NODE" ${SLURM_GPUS_ON_NODE:+"--num-gpus=$SLURM_GPUS_ON_NODE"})
trap 'kill $(jobs -p) 2> /dev/null || true; wait' EXIT
"${one[@]}" --cpus-per-task="$SLURM_CPUS_ON_NODE" \
    ray start --head --block --node-ip-address="$ip" --port="${RAY_ADDRESS##*:}" --include-dashboard=false "${has[@]}" &
if [ "$others" -gt 0 ]; then
    srun --nodes="$others" --ntasks="$others" --exclude="$head" --cpus-per-task="$SLURM_CPUS_ON_NODE" \
        ray start --address="$RAY_ADDRESS" --block "${has[@]}" &
fi

# A search plans by the nodes that it begins with, so all of them are waited for.
until [ "$(ray status 2> /dev/null | grep -c ' node_')" -ge "${#nodes[@]}" ]; do
    if [ "$SECONDS" -gt "$patience" ]; then
        echo "error: ${#nodes[@]} nodes were to join the Ray cluster, and did not within $patience s" >&2
        exit 1
    fi
    sleep 1
done

"$@" &
command=$!
# A minute before the job's end, or when it is preempted: the command stops and keeps what has finished.
trap 'kill -TERM "$command"' TERM
code=0
wait "$command" || code=$?
while kill -0 "$command" 2> /dev/null; do
    wait "$command" || code=$?
done
# A signal cuts a wait short, and the command may have ended before the next: its own code is told once more.
code=0
wait "$command" || code=$?
exit "$code"
