"""How long metrics of ten million scores and the bootstrap of 100,000 take; run by hand.

python tests/benchmarks/bench_metrics.py
"""

import resource
import time

import numpy as np

from tfpipeline.evaluation import metrics
from tfpipeline.evaluation.bootstrap import bootstrap

MANY, SOME = 10_000_000, 100_000


def main() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, MANY)
    scores = random.normal(size=MANY) + labels
    started = time.perf_counter()
    tally = metrics.tally(labels, scores)
    for name in ("auc", "eer", "min_dcf", "min_cllr", "fpr_at_tpr", "tpr_at_fpr"):
        getattr(tally, name)()
    for metric in (metrics.act_dcf, metrics.cllr):
        metric(labels, scores)
    _say(f"all metrics of {MANY:,} scores", started)
    labels, scores = labels[:SOME], scores[:SOME]
    started = time.perf_counter()
    bootstrap(labels, scores, random.integers(0, 500, SOME), rounds=2000)
    _say(f"2,000 rounds of {SOME:,} scores, AUC and EER", started)


def _say(what: str, started: float) -> None:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{what:50s} {time.perf_counter() - started:6.2f} s   peak {memory:.2f} GB")


if __name__ == "__main__":
    main()
