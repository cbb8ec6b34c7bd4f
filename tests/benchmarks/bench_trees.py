"""Speed of the classifiers' graphs against their libraries: run by hand, not collected by pytest.

python tests/benchmarks/bench_trees.py F.parquet [--batch 256] [--repeats 15]
F.parquet is of `python -m tfpipeline.extract`. The two take turns, so that a busy machine slows
both alike; the ratios travel, the times do not.
"""

from __future__ import annotations

import argparse
import functools
import os
import time


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features", help="a table of `python -m tfpipeline.extract`")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args(argv)

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import numpy as np
    import pandas as pd
    import tensorflow as tf

    from tfpipeline.features.handcrafted.extraction import CLIP_COLUMNS
    from tfpipeline.models.classical.convert import to_arrays
    from tfpipeline.models.classical.fitting import CLASSIFIERS, fit_classifier
    from tfpipeline.models.classical.graph import probability

    table = pd.read_parquet(options.features)
    columns = [name for name in table if name not in (*CLIP_COLUMNS, "window")]
    rows = table[columns].to_numpy(np.float64)
    labels = (table["label"] == "spoof").to_numpy(int)
    parts = [table["part"] == part for part in ("train", "validation")]
    train, validation = ((rows[part], labels[part]) for part in parts)
    batch = np.resize(rows, (options.batch, rows.shape[1]))
    print(
        f"{options.batch} rows of {rows.shape[1]} features; median of {options.repeats}, "
        f"{os.cpu_count()} cores"
    )
    for name, build in CLASSIFIERS.items():
        model = fit_classifier(build(0), train, validation)
        arrays = to_arrays(model, rows.shape[1])
        graph = tf.function(
            functools.partial(probability, arrays),
            input_signature=[tf.TensorSpec([None, rows.shape[1]], tf.float64)],
        )
        seconds = {"library": [], "graph": []}
        for repeat in range(options.repeats + 2):
            for way, predict in (("library", model.predict_proba), ("graph", graph)):
                start = time.perf_counter()
                predict(batch)
                if repeat >= 2:  # the first two compile and warm up
                    seconds[way].append(time.perf_counter() - start)
        library, own = (1e3 * np.median(values) for values in seconds.values())
        print(
            f"{name:20s} library {library:8.2f} ms   graph {own:8.2f} ms   "
            f"graph / library {own / library:5.2f}"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
