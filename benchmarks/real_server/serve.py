"""The llama.cpp server of PyPI `xllamacpp` with a GGUF model, OpenAI-compatible.

Prints its base URL when it is ready and stops when its standard input ends:

    python serve.py MODEL.gguf [--port 8378] [--parallel 4] [--context 4096]
"""

import argparse
import sys

import xllamacpp


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--parallel", type=int, default=4, help="requests decoded together")
    parser.add_argument("--context", type=int, default=4096, help="tokens, over all of them")
    args = parser.parse_args()

    params = xllamacpp.CommonParams()
    params.model.path = args.model
    params.hostnames = ["127.0.0.1"]
    params.port = args.port
    params.n_parallel = args.parallel
    params.n_ctx = args.context
    server = xllamacpp.Server(params)
    print(f"{server.listening_address}/v1", flush=True)
    sys.stdin.read()
    del server


if __name__ == "__main__":
    main()
