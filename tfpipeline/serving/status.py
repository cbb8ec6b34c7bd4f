"""What became of each clip of a request: a code a row, so that one bad clip never fails its batch.

The codes are part of the serving contract: a client reads them from the output `status`. A clip of
code `OK` or `CLIPPED` has a score; any other has `NO_SCORE` in its place.
"""

from __future__ import annotations

OK, TOO_SHORT, SILENT, CLIPPED, NOT_AUDIO, UNSUPPORTED_FORMAT, TOO_LONG, NOT_FINITE = range(8)
STATUSES = {
    OK: "ok",
    TOO_SHORT: "too short",
    SILENT: "silent",
    CLIPPED: "clipped",
    NOT_AUDIO: "not audio",
    UNSUPPORTED_FORMAT: "unsupported format",
    TOO_LONG: "too long",
    NOT_FINITE: "no finite score",  # the model's weights are damaged
}
SCORED = (OK, CLIPPED)

# A recording that was never overdriven has a few samples at full scale at most.
FULL_SCALE, CLIPPED_SHARE = 0.999, 0.001

# Stands in every float output of a row without a score, and for the score of a window that has
# none. JSON has no NaN: TensorFlow Serving would write it bare, and a strict parser would refuse
# the whole batch. No log-odds and no probability comes near it. As NaN did, it fails every
# `>= threshold`. 10^10 is the largest power of ten that float32 holds exactly, so `==` holds in
# any type and in JSON.
NO_SCORE = -1e10
