#!/usr/bin/env bash
# Every recipe on Banking77 and GSM8K with the model in the process; writes RESULTS.md here.
#
# Settings are variables: TELEPROMPT_DATA (the folder with banking77/ and gsm8k/), TELEPROMPT_LM
# (local:smollm2-135m), LM_LABEL (its name in the results), TASKS (banking77-10, banking77, gsm8k;
# all), RECIPES (all), THREADS (half the cores). Rows that rows.jsonl has are not measured again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
export TELEPROMPT_DATA=${TELEPROMPT_DATA:-$PWD/../shared/data} OUT=$here
exec cargo run --release --locked --quiet -p teleprompt --features local --example recipes
