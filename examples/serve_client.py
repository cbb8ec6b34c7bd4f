"""Asks a served model about WAV files: `python examples/serve_client.py ADDRESS FILE…`.

ADDRESS is `grpc://127.0.0.1:8500/cnn` or `http://127.0.0.1:8501/cnn`, of TensorFlow Serving with a
model that `python -m tfpipeline.export --serving-root` wrote. One request holds all files; a bad
file has a status of its own and spoils no other.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

from tfpipeline.serving.client.client import open_client


def main(argv: list[str]) -> int:
    """Prints one line a file; returns the exit code: 1 if a file has no score, 2 without answer."""
    if len(argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    address, *files = argv
    try:
        with open_client(address) as client:
            contract = client.contract()
            answers = client.score_audio([Path(file).read_bytes() for file in files])
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    threshold = contract["threshold"]["value"]
    for file, answer in zip(files, answers, strict=True):
        status = contract["status"][str(answer["status"])]
        if math.isnan(answer["score"]):
            print(f"{file}: no score, {status}")
        else:
            label = "spoof" if answer["score"] >= threshold else "bonafide"
            print(f"{file}: {label}, probability of spoof {answer['probability']:.3f} ({status})")
    return int(any(math.isnan(answer["score"]) for answer in answers))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
