#!/usr/bin/env bash
# The LM layer under load, side by side with DSPy, on one fault server; writes RESULTS.md.
#
# Settings are variables: CALLS (2000), IN_FLIGHT (512), LATENCY_MS (500), FAULTS (0.2), SEED (1),
# TIMEOUT (3, seconds for one attempt), RETRIES (8), DSPY_MODE (threads or async: within 2 % of each
# other at 2,000 calls, 512 in flight, 500 ms and no faults, so threads).
# TELEPROMPT_CLIENT is the command of the other client. It is run with the variables above and with
# BASE_URL, MODEL and TAG exported, and prints a line as dspy_client.py does. The server's answer to
# a text is `echo:` and the text; texts are "$TAG 0", "$TAG 1"….
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export CALLS=${CALLS:-2000} IN_FLIGHT=${IN_FLIGHT:-512} LATENCY_MS=${LATENCY_MS:-500}
export FAULTS=${FAULTS:-0.2} SEED=${SEED:-1} TIMEOUT=${TIMEOUT:-3} RETRIES=${RETRIES:-8}
export MODEL=fake
python=$here/.venv/bin/python
work=$here/.run
mkdir -p "$work"

# Two sockets for each connection, and then some: the usual bound of 1024 is too tight.
ulimit -n 4096 2>/dev/null || true
if [ ! -x "$here/.venv/bin/pip" ]; then python3 -m venv "$here/.venv"; fi
"$here/.venv/bin/pip" install --quiet "dspy==3.4.1"
(cd "$root" && cargo build --release --locked --quiet -p teleprompt-testkit --example fault_server)
target=${CARGO_TARGET_DIR:-$root/target}

start_server() {
    "$target/release/examples/fault_server" --port 0 --latency-ms "$LATENCY_MS" \
        --faults "$FAULTS" --seed "$SEED" --model "$MODEL" >"$work/server" &
    server=$!
    until [ -s "$work/server" ]; do kill -0 "$server"; sleep 0.1; done
    BASE_URL=$(cat "$work/server")
    export BASE_URL
}

# A new server for each client: the same faults for both, and a ledger of its own.
stop_server() {
    curl -s "${BASE_URL%/v1}/ledger" >"$work/$1.ledger"
    kill -INT "$server"
    wait "$server" || true
    rm -f "$work/server"
}
trap 'kill "${server:-0}" 2>/dev/null || true' EXIT

dspy() {
    "$python" "$here/dspy_client.py" --base-url "$BASE_URL" --model "$MODEL" --calls "$CALLS" \
        --in-flight "$IN_FLIGHT" --latency-ms "$LATENCY_MS" --retries "$RETRIES" \
        --timeout "$TIMEOUT" --mode "${DSPY_MODE:-threads}" --tag "$TAG"
}

export TAG=q
start_server
dspy | tail -n 1 | tee "$work/dspy.json"
stop_server dspy
rm -f "$work/teleprompt.json" "$work/teleprompt.ledger"
if [ -n "${TELEPROMPT_CLIENT:-}" ]; then
    start_server
    sh -c "$TELEPROMPT_CLIENT" | tail -n 1 | tee "$work/teleprompt.json"
    stop_server teleprompt
fi
"$python" "$here/report.py" "$work" >"$here/RESULTS.md"
