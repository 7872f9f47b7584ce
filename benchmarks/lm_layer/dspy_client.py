"""N calls through dspy.LM, C in flight, against the fault server; prints one JSON line.

The server's right answer to a text is `echo:` and the text, so that every answer is checked.
"""

import argparse
import asyncio
import collections
import concurrent.futures
import json
import logging
import os
import resource
import time

# Without this LiteLLM asks the network for a price list when it is imported.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import dspy
import litellm


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--model", default="fake")
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--in-flight", type=int, default=512)
    parser.add_argument("--latency-ms", type=float, required=True, help="of the server, for the ratio")
    parser.add_argument("--retries", type=int, default=8)
    parser.add_argument("--timeout", type=float, default=3.0, help="seconds for one attempt")
    parser.add_argument("--mode", choices=["async", "threads"], default="threads")
    parser.add_argument("--tag", default="q", help="start of each text; another one asks anew")
    return parser.parse_args()


class Tally:
    def __init__(self):
        self.correct = 0
        self.wrong = 0
        self.failed = collections.Counter()

    def answer(self, text, output):
        said = output[0]
        said = said if isinstance(said, str) else said.get("text")
        if said == f"echo:{text}":
            self.correct += 1
        else:
            self.wrong += 1

    def failure(self, error):
        self.failed[type(error).__name__] += 1


async def run_async(lm, texts, in_flight, tally):
    gate = asyncio.Semaphore(in_flight)

    async def one(text):
        async with gate:
            try:
                tally.answer(text, await lm.acall(text))
            except Exception as error:  # every failure is counted by its type
                tally.failure(error)

    await asyncio.gather(*(one(text) for text in texts))


def run_threads(lm, texts, in_flight, tally):
    with concurrent.futures.ThreadPoolExecutor(in_flight) as pool:
        futures = {pool.submit(lm, text): text for text in texts}
        for future in concurrent.futures.as_completed(futures):
            try:
                tally.answer(futures[future], future.result())
            except Exception as error:  # every failure is counted by its type
                tally.failure(error)


def main():
    args = arguments()
    logging.disable(logging.CRITICAL)
    litellm.suppress_debug_info = True
    lm = dspy.LM(
        f"openai/{args.model}",
        api_base=args.base_url,
        api_key="none",
        cache=False,
        num_retries=args.retries,
        timeout=args.timeout,
    )
    dspy.configure(lm=lm)
    tally = Tally()
    texts = [f"{args.tag} {number}" for number in range(args.calls)]
    start = time.perf_counter()
    if args.mode == "async":
        asyncio.run(run_async(lm, texts, args.in_flight, tally))
    else:
        run_threads(lm, texts, args.in_flight, tally)
    seconds = time.perf_counter() - start
    rate = args.calls / seconds
    ideal = args.in_flight / (args.latency_ms / 1000)
    print(json.dumps({
        "client": f"dspy {dspy.__version__} ({args.mode})",
        "calls": args.calls,
        "in_flight": args.in_flight,
        "correct": tally.correct,
        "wrong": tally.wrong,
        "failed": dict(tally.failed),
        "seconds": round(seconds, 2),
        "calls_per_second": round(rate, 1),
        "ratio_to_ideal": round(rate / ideal, 4),
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }))


if __name__ == "__main__":
    main()
