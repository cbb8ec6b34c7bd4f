"""Tables of clips as other programs, countries and machines write them."""

import decimal

import pandas as pd
import pytest

from tfpipeline.data.corpora.manifest import read_table
from tfpipeline.data.corpora.reading.delimited import decimal_points

NAMES = ["dir one/ä é.wav", "dir one/b.wav", "dir two/ä é.wav", "dir two/c.wav"]


@pytest.fixture
def folder(tmp_path):
    """Four clips in two folders, beside which tables lie."""
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def frame(names=NAMES):
    return pd.DataFrame({"path": names, "label": ["real", "fake"] * 2, "seconds": ["2.5"] * 4})


def read(folder, clips=None, text=None, encoding="utf-8"):
    text = clips.to_csv(index=False) if text is None else text
    (folder / "clips.csv").write_bytes(text.encode(encoding))
    clips, said = read_table(folder / "clips.csv", split=False)
    return clips["path"].map(lambda own: own.removeprefix(f"{folder}/")).tolist(), said, clips


@pytest.mark.parametrize(
    ("encoding", "note"),
    [
        ("utf-8", []),
        ("utf-8-sig", []),
        ("utf-16", ["read as UTF-16"]),
        ("utf-16-le", ["read as UTF-16-LE"]),
        ("utf-16-be", ["read as UTF-16-BE"]),
        ("utf-32", ["read as UTF-32"]),
        ("cp1252", ["read as Windows-1252 (Western Europe), since it is not UTF-8"]),
        ("latin-1", ["read as Windows-1252 (Western Europe), since it is not UTF-8"]),
    ],
)
@pytest.mark.parametrize("line", ["\n", "\r\n"])
def test_encodings(folder, encoding, note, line):
    text = frame().to_csv(index=False, lineterminator=line)
    paths, said, clips = read(folder, text=text, encoding=encoding)
    assert paths == NAMES
    assert said == note
    assert clips["label"].tolist() == ["bonafide", "spoof"] * 2


def test_a_letter_beyond_the_first_bytes_tells_the_encoding_too(folder):
    text = frame().assign(note=["x" * 9000, "", "ü", ""]).to_csv(index=False)
    paths, said, clips = read(folder, text=text, encoding="cp1252")
    assert paths == NAMES
    assert clips["note"][2] == "ü"
    assert len(said) == 1


@pytest.mark.parametrize(
    ("separator", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")]
)
def test_separators(folder, separator, name):
    clips = frame().assign(note='a, "b"; c', seconds="2,5")
    paths, said, clips = read(folder, text=clips.to_csv(index=False, sep=separator))
    assert paths == NAMES
    assert said == [f"columns are separated by {name}"]
    assert set(clips["note"]) == {'a, "b"; c'}
    assert set(clips["seconds"]) == {2.5}


def test_what_excel_writes(folder):
    text = "sep=;\r\n" + frame().to_csv(index=False, sep=";", lineterminator="\r\n")
    paths, said, _ = read(folder, text=text, encoding="utf-16")
    assert paths == NAMES
    assert said == ["columns are separated by semicolons", "read as UTF-16"]


def test_a_comma_in_the_header_of_a_table_with_semicolons(folder):
    text = frame().rename(columns={"seconds": "note, long"}).to_csv(index=False, sep=";")
    paths, _, clips = read(folder, text=text)
    assert paths == NAMES
    assert "note, long" in clips


@pytest.mark.parametrize(
    ("prefix", "note"),
    [
        ("", r"paths of Windows: each \ is read as /"),
        (".\\", r"paths of Windows: each \ is read as /"),
        ("C:\\Users\\me\\my data\\", r"read as /; C:\Users\me\my data\dir one\ä é.wav is read"),
        ("\\\\server\\share\\", r"each \ is read as /; \\server\share\dir one\ä é.wav is read as"),
    ],
)
def test_paths_of_windows(folder, prefix, note):
    names = [prefix + name.replace("/", "\\") for name in NAMES]
    paths, said, clips = read(folder, frame(names))
    assert [own.removeprefix("./") for own in paths] == NAMES
    assert len(said) == 1
    assert note in said[0]
    assert clips["clip_id"].tolist() == names


def test_absolute_paths_of_another_machine(folder):
    paths, said, _ = read(folder, frame([f"/home/me/set/{name}" for name in NAMES]))
    assert paths == NAMES
    note = "/home/me/set/dir one/ä é.wav is read as dir one/ä é.wav, and so on"
    assert said == [f"paths elsewhere: {note}"]


def test_the_same_number_of_folders_is_left_out_in_all_rows(folder):
    (folder / "b.wav").touch()
    # Were each row cut on its own, `dir three/b.wav` would be taken for `b.wav`.
    names = [*(f"D:\\set\\{name}" for name in NAMES[:3]), "D:\\set\\dir three\\b.wav"]
    message = r"1 of 4 missing: D:\\set\\dir three\\b\.wav \(row 4\)\. .* of Windows, the end is"
    with pytest.raises(ValueError, match=message):
        read(folder, frame(names))


def test_a_backslash_that_is_part_of_a_name(folder):
    names = [*NAMES[:3], "a\\b.wav"]
    (folder / names[3]).touch()
    assert read(folder, frame(names))[:2] == (names, [])


@pytest.mark.parametrize(
    ("there", "written", "kind"),
    [
        ("x.flac", "x.wav", "extension"),
        ("x.WAV", "x.wav", "extension"),
        ("x.mp3", "x", "extension"),
        ("x.1.flac", "x.1", "extension"),
        ("X.wav", "x.wav", "case or accents"),
        ("u\u0308.wav", "\u00fc.wav", "case or accents"),
    ],
)
def test_names_that_are_nearly_right(folder, there, written, kind):
    (folder / there).touch()
    paths, said, _ = read(folder, frame([*NAMES[:3], written]))
    assert paths[3] == there
    assert said == [
        f"1 of 4 files differ in {kind} from what the table names, such as {there} for {written}"
    ]


def test_a_name_that_fits_two_files_is_asked_for(folder):
    (folder / "x.flac").touch()
    (folder / "x.mp3").touch()
    message = r"row 4: .* Received: x\.wav, and there are x\.flac and x\.mp3\. Which is right\?"
    with pytest.raises(ValueError, match=message):
        read(folder, frame([*NAMES[:3], "x.wav"]))
    (folder / "x.wav").touch()
    assert read(folder, frame([*NAMES[:3], "x.wav"]))[0][3] == "x.wav"


def test_what_is_there_as_written_comes_before_what_is_alike(folder):
    (folder / "audio").mkdir()
    for name in ("k.flac", "audio/k.wav", "audio/l.wav", "audio/m.wav", "audio/n.wav"):
        (folder / name).touch()
    paths, said, _ = read(folder, frame(["k.wav", "l.wav", "m.wav", "n.wav"]))
    assert paths[0] == "audio/k.wav"
    assert said == [f"the audio lies in {folder / 'audio'}"]


def test_a_text_beside_the_audio_is_not_taken_for_it(folder):
    (folder / "x.txt").touch()
    with pytest.raises(ValueError, match=r"1 of 4 missing: .*/x\.wav \(row 4\)"):
        read(folder, frame([*NAMES[:3], "x.wav"]))


def test_seconds_of_any_type_in_parquet(folder):
    values = [decimal.Decimal("2.5"), None, 3, "4,5"]
    assert decimal_points(pd.Series(values)).tolist() == [*values[:3], "4.5"]
    clips = frame().assign(seconds=[decimal.Decimal("2.5"), None, None, decimal.Decimal("3.5")])
    clips.to_parquet(folder / "clips.parquet")
    read, _ = read_table(folder / "clips.parquet", split=False)
    assert read["seconds"].dropna().tolist() == [2.5, 3.5]
