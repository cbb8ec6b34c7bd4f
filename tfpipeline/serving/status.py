"""What became of each clip of a request: a code a row, so that one bad clip never fails its batch.

The codes are part of the serving contract: a client reads them from the output `status`. A clip of
code `OK` or `CLIPPED` has a score; any other has none, which is NaN in the graph and null in JSON.
"""

from __future__ import annotations

OK, TOO_SHORT, SILENT, CLIPPED, NOT_AUDIO, UNSUPPORTED_FORMAT, TOO_LONG = range(7)
STATUSES = {
    OK: "ok",
    TOO_SHORT: "too short",
    SILENT: "silent",
    CLIPPED: "clipped",
    NOT_AUDIO: "not audio",
    UNSUPPORTED_FORMAT: "unsupported format",
    TOO_LONG: "too long",
}
SCORED = (OK, CLIPPED)
