"""Makes RESULTS.md from the lines of the clients and the ledgers of their servers."""

import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys

ROWS = [
    ("correct", "answered correctly"),
    ("wrong", "answered wrongly"),
    ("failed", "failed"),
    ("seconds", "seconds"),
    ("calls_per_second", "calls per second"),
    ("ratio_to_ideal", "ratio to ideal (in flight / latency)"),
    ("peak_rss_mib", "peak memory, MiB"),
]
LEDGER = [
    ("arrivals", "requests that reached the server"),
    ("never_answered", "texts without a good answer"),
    ("asked_again_after_answer", "asked again after a good answer"),
    ("most_connections", "most connections at once"),
]


def shown(value):
    if isinstance(value, dict):
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(value.items()))
        return f"{sum(value.values())} ({kinds})" if kinds else "0"
    return str(value)


def main():
    work = pathlib.Path(sys.argv[1])
    names = [name for name in ("dspy", "teleprompt") if (work / f"{name}.json").exists()]
    lines = [json.loads((work / f"{name}.json").read_text()) for name in names]
    ledgers = [json.loads((work / f"{name}.ledger").read_text()) for name in names]
    env = os.environ
    rust = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=False)
    print("# The LM layer under load\n")
    print(
        f"{datetime.date.today()}, {os.cpu_count()} cores shared by server and client, "
        f"Python {platform.python_version()}, {rust.stdout.strip()}. "
        f"{env['CALLS']} calls, {env['IN_FLIGHT']} in flight, latency {env['LATENCY_MS']} ms, "
        f"share of faults {env['FAULTS']}, seed {env['SEED']}, {env['TIMEOUT']} s and at most "
        f"{env['RETRIES']} retries. Made by `run.sh`.\n"
    )
    print("| | " + " | ".join(line["client"] for line in lines) + " |")
    print("|---|" + "---|" * len(lines))
    for key, label in ROWS:
        print(f"| {label} | " + " | ".join(shown(line[key]) for line in lines) + " |")
    for key, label in LEDGER:
        print(f"| {label} | " + " | ".join(shown(ledger[key]) for ledger in ledgers) + " |")


if __name__ == "__main__":
    main()
