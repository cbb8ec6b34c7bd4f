"""A fitted model as plain arrays: all that predicts is in them, and nothing that executes.

Trees of every library come to one form: a row goes left where its feature is at most the node's
threshold, right otherwise; a leaf is its own child. Linear and naive Bayes models have another.
"""

from __future__ import annotations

import dataclasses
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfpipeline.files.atomic import atomic_file

FORMAT = "tfpipeline-classifier-1"
LINKS = ("sum", "mean_probability")
PRECISIONS = ("float32", "float64")
KINDS = ("linear", "gaussian", "bernoulli")
MOST_NODES = 50_000_000


@dataclass(frozen=True)
class TreeEnsemble:
    """Trees, all nodes in one row; children lie behind their parents.

    Attributes:
        n_features: columns of a row.
        feature, left, right: int32 (n_nodes,).
        threshold: float64 (n_nodes,).
        missing_left: bool (n_nodes,), where NaN goes.
        value: float64 (n_nodes,), of the leaves.
        roots: int32 (n_trees,).
        base: added to the sum of the trees' values.
        link: `sum` is the log-odds; `mean_probability` is averaged over trees to a probability.
        precision: to which the library rounds a feature before it compares.
        depth: edges from a root to the farthest leaf.
    """

    n_features: int
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing_left: np.ndarray
    value: np.ndarray
    roots: np.ndarray
    base: float
    link: str
    precision: str
    depth: int

    def __post_init__(self) -> None:
        """Checks every index and shape against the others."""
        n = len(self.feature)
        arrays = (self.threshold, self.left, self.right, self.missing_left, self.value)
        _require(0 < n <= MOST_NODES and all(a.shape == (n,) for a in arrays), "one entry a node")
        _require(self.roots.ndim == 1 and len(self.roots) > 0, "a root a tree")
        _require(self.link in LINKS and self.precision in PRECISIONS, "a known link and precision")
        _require(self.n_features > 0 and 0 <= self.depth < n + 1, "a sensible depth")
        _require(_within(self.roots, n), "roots that are nodes")
        _require(_within(self.feature, self.n_features), "features that are columns")
        places = np.arange(n)
        leaf = self.left == places
        _require(bool(np.all((self.right == places) == leaf)), "leaves without children")
        _require(
            _within(self.left, n)
            and _within(self.right, n)
            and bool(np.all((self.left > places) | leaf) and np.all((self.right > places) | leaf)),
            "children that lie behind their parents",
        )
        finite = np.isfinite(self.value[leaf]).all() and np.isfinite(self.base)
        _require(bool(finite) and not np.isnan(self.threshold).any(), "finite values")
        _require(tree_depth(self.left, self.right, self.roots) == self.depth, "the depth it says")
        if self.link == "mean_probability":
            leaves = self.value[leaf]
            _require(bool(leaves.min() >= 0 and leaves.max() <= 1), "probabilities in its leaves")

    @property
    def n_parameters(self) -> int:
        """Numbers that were fitted: a threshold a node, a value a leaf."""
        return len(self.feature)


@dataclass(frozen=True)
class DenseModel:
    """Logistic regression or naive Bayes, behind a standardization.

    With z = (x - mean) / scale the log-odds are, by `kind`: `linear`, first · z + base; `gaussian`,
    base - ½ Σ [(z - first₁)² / second₁ - (z - first₀)² / second₀], where a row of `first` and
    `second` is a class's means and variances; `bernoulli`, first · [z > 0] + base.

    Attributes:
        mean, scale: float64 (n_features,).
        first, second: float64 (rows, n_features); `second` is of ones where it is not used.
        base: float.
    """

    kind: str
    mean: np.ndarray
    scale: np.ndarray
    first: np.ndarray
    second: np.ndarray
    base: float

    def __post_init__(self) -> None:
        """Checks shapes and values."""
        _require(self.kind in KINDS, "a known kind")
        _require(self.mean.ndim == 1 and len(self.mean) > 0, "a mean a column")
        rows = 2 if self.kind == "gaussian" else 1
        shape = (rows, len(self.mean))
        _require(self.scale.shape == self.mean.shape, "a scale a column")
        _require(self.first.shape == shape and self.second.shape == shape, f"arrays of {shape}")
        arrays = (self.mean, self.scale, self.first, self.second, np.array(self.base))
        _require(all(np.isfinite(array).all() for array in arrays), "finite values")
        _require(bool((self.scale > 0).all() and (self.second > 0).all()), "scales above 0")

    @property
    def n_features(self) -> int:
        """Columns of a row."""
        return len(self.mean)

    @property
    def n_parameters(self) -> int:
        """Numbers that were fitted."""
        return self.first.size + (self.second.size if self.kind == "gaussian" else 0) + 1


FORMS = {"trees": TreeEnsemble, "dense": DenseModel}


def save_arrays(path: Path, model: TreeEnsemble | DenseModel) -> None:
    """Writes a fitted model as `.npz`, atomically."""
    form = next(name for name, kind in FORMS.items() if isinstance(model, kind))
    content = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
    with atomic_file(path) as partial:
        np.savez_compressed(partial, format=np.array(FORMAT), form=np.array(form), **content)


def load_arrays(path: Path) -> TreeEnsemble | DenseModel:
    """Reads what `save_arrays` wrote, without pickle, and checks all of it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is truncated, tampered with, or something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
        if str(content.pop("format", "")) != FORMAT:
            raise ValueError("another format")
        kind = FORMS[str(content.pop("form"))]
        fields = {field.name: field.type for field in dataclasses.fields(kind)}
        if set(content) != set(fields):
            raise ValueError(f"the entries {', '.join(sorted(content))}")
        return kind(**{name: _typed(content[name], name, fields[name]) for name in fields})
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file. Is the run complete?") from None
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        zipfile.BadZipFile,
        OverflowError,
        MemoryError,
    ) as error:
        raise ValueError(
            f"{path}: expected the arrays of a fitted model. Received: "
            f"{' '.join(str(error).split()) or type(error).__name__}. Train it again."
        ) from None


def _typed(value: np.ndarray, name: str, kind: str) -> object:
    """An entry as its field wants it."""
    wanted = {"feature": "i", "left": "i", "right": "i", "roots": "i", "missing_left": "b"}
    if kind == "np.ndarray":
        if value.dtype.kind != wanted.get(name, "f"):
            raise ValueError(f"{name} of type {value.dtype}")
        return value
    if value.ndim:
        raise ValueError(f"{name} of shape {value.shape}")
    return {"int": int, "float": float, "str": str}[kind](value)


def tree_depth(left: np.ndarray, right: np.ndarray, roots: np.ndarray) -> int:
    """Edges to the farthest leaf, all trees at once."""
    reached, depth = roots, 0
    while True:
        reached = np.unique(np.concatenate([left[reached], right[reached]]))
        if np.array_equal(left[reached], reached):
            inner = np.any(left[roots] != roots)
            return depth + 1 if inner or depth else 0
        depth += 1
        if depth > len(left):
            raise ValueError("nodes that go round in a circle")


def _within(indices: np.ndarray, end: int) -> bool:
    return bool(len(indices) and indices.min() >= 0 and indices.max() < end)


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"arrays without {what}")
