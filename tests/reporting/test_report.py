import html.parser
import re

import numpy as np
import pytest
import soundfile

from tfpipeline.evaluation.breakdown import break_down
from tfpipeline.evaluation.comparison import compare_runs
from tfpipeline.reporting.report import Evaluation, write_report
from tfpipeline.reporting.worst_clips import worst_clips

EVIL = "<script>alert(1)</script> & $x^2$"


class Page(html.parser.HTMLParser):
    """Counts tags, and fails where one is closed that is not open."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.sources = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def judged(table, speech, tmp_path):
    """A run whose worst human clip can be heard, and whose names are hostile."""
    heard = table.copy()
    row = heard.index[(heard["part"] == "test") & (heard["label"] == "bonafide")][0]
    soundfile.write(tmp_path / "a.wav", speech[0], 16_000)
    heard.loc[row, ["path", "clip_id", "score"]] = [str(tmp_path / "a.wav"), EVIL, 20.0]
    heard.loc[heard["attack"] == "world", "attack"] = EVIL
    threshold = {"value": 1.1, "rule": "equal error rate", "part": "validation"}
    metrics = break_down(heard, EVIL, "cnn", "demo", 10, threshold, rounds=20)
    return Evaluation(metrics, heard, f"name: {EVIL}")


def test_a_page_is_whole_and_needs_nothing_else(judged, tmp_path):
    write_report(tmp_path / "report.html", [judged])
    text = (tmp_path / "report.html").read_text()
    page = Page(text)
    assert page.open == []
    assert "script" not in page.seen
    assert all(source.startswith("data:") for source in page.sources)
    assert not re.search(r"https?://(?!www\.w3\.org)", re.sub(r"data:[^\'\"]+", "", text))
    assert {"audio", "table", "figure"} <= set(page.seen)
    assert "&lt;script&gt;alert(1)" in text
    for words in ("How well it tells them apart (test)", "The threshold, carried over", "Scores"):
        assert words in text, words
    for words in ("Can the probability be believed", "By attack", "Judged worst", "Config"):
        assert words in text, words


def test_several_models_get_a_leaderboard(judged, tmp_path):
    other = Evaluation({**judged.metrics, "run": "other"}, judged.table, None)
    tables = {EVIL: judged.table, "other": other.table}
    write_report(tmp_path / "r.html", [judged, other], compare_runs(tables, "test"))
    text = (tmp_path / "r.html").read_text()
    assert Page(text).open == []
    assert "Models compared, on test" in text


def test_one_class_alone_is_reported_as_far_as_it_goes(judged, tmp_path):
    spoofs = judged.table[judged.table["label"] == "spoof"].assign(part="-")
    metrics = break_down(spoofs, "r", "cnn", "demo", None, None, rounds=20)
    write_report(tmp_path / "r.html", [Evaluation(metrics, spoofs)])
    text = (tmp_path / "r.html").read_text()
    assert Page(text).open == []
    assert "spoof clips only" in text
    assert "ROC" not in text


def test_the_worst_clips_are_the_most_wrong_ones(judged, speech):
    clips = worst_clips(judged.table[judged.table["part"] == "test"], each=2)
    assert [clip.row["label"] for clip in clips] == ["bonafide"] * 2 + ["spoof"] * 2
    assert clips[0].row["clip_id"] == EVIL
    assert clips[0].picture.startswith("data:image/png")
    assert clips[0].sound.startswith("data:audio/mpeg")
    assert clips[1].picture is None  # its file is not there
    scores = [clip.row["score"] for clip in clips]
    assert scores[0] >= scores[1]
    assert scores[2] <= scores[3]
    assert np.isfinite(scores).all()
