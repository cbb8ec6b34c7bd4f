"""Every figure for some rows of a score table, as JSON-ready values; what is undefined is None."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tfpipeline.data.clips import LABELS, UNKNOWN
from tfpipeline.evaluation import metrics
from tfpipeline.evaluation.bootstrap import (
    FEWEST_GROUPS,
    ROUNDS,
    bootstrap,
    interval,
    resampling_groups,
)

RANKED = ("auc", "auc_low", "auc_high", "eer", "eer_low", "eer_high")


@dataclass
class Evaluator:
    """What does not change from rows to rows of one evaluation.

    Attributes:
        threshold: fixed on validation, on raw scores; None if there is none.
        rounds: of the bootstrap; 0 leaves intervals out.
        notes: why a figure is None, gathered while judging.
    """

    threshold: float | None = None
    rounds: int = ROUNDS
    notes: list[str] = field(default_factory=list)

    def counts(self, rows: pd.DataFrame) -> dict[str, int]:
        """How many clips of each class, and speakers that are known."""
        spoof = (rows["label"] == "spoof").to_numpy()
        return {
            "n_bonafide": int((~spoof).sum()),
            "n_spoof": int(spoof.sum()),
            "n_speakers": int(rows.loc[rows["speaker"] != UNKNOWN, "speaker"].nunique()),
        }

    def short(self, rows: pd.DataFrame, where: str) -> dict:
        """Counts, AUC and EER with their 95 % intervals, and the rates at the threshold."""
        counts = self.counts(rows)
        labels, scores = rows["label"].map(LABELS).to_numpy(), rows["score"].to_numpy()
        figures = {**counts, **dict.fromkeys(RANKED), **self._transferred(labels, scores)}
        if not counts["n_bonafide"] or not counts["n_spoof"]:
            there = "spoof" if counts["n_spoof"] else "bonafide"
            self.notes.append(
                f"{where}: {there} clips only, so AUC, EER and what needs both classes are left out"
            )
            return figures
        tally = metrics.tally(labels, scores)
        figures.update(auc=tally.auc(), eer=tally.eer())
        self._add_intervals(figures, rows, labels, scores, where)
        return figures

    def full(self, rows: pd.DataFrame, where: str) -> dict:
        """`short`, and everything else: costs, rates at a rate, calibration."""
        figures = self.short(rows, where)
        names = (
            "min_dcf",
            "act_dcf",
            "cllr",
            "min_cllr",
            "fpr_at_95_tpr",
            "tpr_at_1_fpr",
            "brier",
            "ece",
        )
        figures.update(dict.fromkeys(names))
        if figures["auc"] is None:
            return figures
        if figures["auc"] in (0.0, 1.0) and figures["auc_low"] is not None:
            self.notes.append(
                f"{where}: the classes do not overlap; resampling cannot show how far the AUC may "
                f"be from {figures['auc']:.0f}"
            )
        labels, scores = rows["label"].map(LABELS).to_numpy(), rows["score"].to_numpy()
        tally = metrics.tally(labels, scores)
        figures.update(
            min_dcf=tally.min_dcf(),
            min_cllr=tally.min_cllr(),
            fpr_at_95_tpr=tally.fpr_at_tpr(0.95),
            tpr_at_1_fpr=tally.tpr_at_fpr(0.01),
        )
        llr, probability = rows["llr"].to_numpy(float), rows["probability"].to_numpy(float)
        if np.isfinite(llr).all():
            figures.update(act_dcf=metrics.act_dcf(labels, llr), cllr=metrics.cllr(labels, llr))
        if np.isfinite(probability).all():
            figures.update(
                brier=metrics.brier_score(labels, probability),
                ece=metrics.expected_calibration_error(labels, probability),
            )
        if figures["cllr"] is None:
            self.notes.append(
                f"{where}: not calibrated, so actDCF, Cllr, Brier score and calibration error are "
                "left out"
            )
        return figures

    def _transferred(self, labels: np.ndarray, scores: np.ndarray) -> dict[str, float | None]:
        """Rates at the threshold that was fixed elsewhere; HTER is the mean of the two."""
        if self.threshold is None or not len(labels):
            return dict.fromkeys(("miss_rate", "false_alarm_rate", "hter", "balanced_accuracy"))
        miss, alarm = metrics.rates_at(labels, scores, self.threshold)
        both = np.isfinite(miss) and np.isfinite(alarm)
        return {
            "miss_rate": miss if np.isfinite(miss) else None,
            "false_alarm_rate": alarm if np.isfinite(alarm) else None,
            "hter": (miss + alarm) / 2 if both else None,
            "balanced_accuracy": 1 - (miss + alarm) / 2 if both else None,
        }

    def _add_intervals(self, figures: dict, rows: pd.DataFrame, labels, scores, where: str) -> None:
        if not self.rounds:
            return
        groups, noun = resampling_groups(rows)
        if len(set(groups)) < FEWEST_GROUPS:
            self.notes.append(f"{where}: fewer than {FEWEST_GROUPS} {noun}, so no intervals")
            return
        draws = bootstrap(labels, scores, groups, self.rounds)
        for name, draw in zip(("auc", "eer"), draws, strict=True):
            found = interval(draw, figures[name])
            if found is None:
                self.notes.append(
                    f"{where}: too few {noun} for an interval; most draws hold one class only"
                )
                return
            figures[f"{name}_low"], figures[f"{name}_high"] = found
