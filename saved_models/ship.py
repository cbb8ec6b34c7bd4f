"""Makes `saved_models/pretrained/`, the detector that comes with the project, of a run.

    python saved_models/ship.py saved_models/web

Weights are stored in half precision, where the file is half as large, and computed with in float32.
What names files of one machine, such as the score table, stays behind, and so does the export, that
one command writes. The model card, README.md, is written by hand.
"""

import shutil
import sys
from pathlib import Path

import h5py
import numpy as np

from tfpipeline.runs import layout
from tfpipeline.runs.run import load_detector, open_run

TARGET = Path(__file__).parent / "pretrained"
KEPT = (
    layout.CONFIG,
    layout.ENVIRONMENT,
    layout.CALIBRATION,
    layout.METRICS,
    layout.HISTORY,
    layout.AUDIT,
)


def main(folder: Path) -> None:
    """Ships one run."""
    TARGET.mkdir(exist_ok=True)
    for name in KEPT:
        shutil.copyfile(folder / name, TARGET / name)
    halve(folder / layout.NETWORK, TARGET / layout.NETWORK)
    load_detector(open_run(TARGET))
    total = sum(file.stat().st_size for file in TARGET.rglob("*") if file.is_file())
    print(f"{TARGET}: {total / 1e6:.1f} MB")


def halve(path: Path, copy: Path) -> None:
    """Copies an HDF5 file, its float32 arrays in half precision."""
    with h5py.File(path) as source, h5py.File(copy, "w") as target:

        def put(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Dataset):
                half = item.dtype == np.float32
                kind = np.float16 if half else item.dtype
                made = target.create_dataset(name, data=item[()].astype(kind))
            else:
                made = target.require_group(name)
            made.attrs.update(item.attrs)

        source.visititems(put)
        target.attrs.update(source.attrs)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
