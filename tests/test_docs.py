"""The README and the documentation: commands that exist, links that resolve, one page of README."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from tfpipeline.cli import config_from_flags
from tfpipeline.config import CONFIGS, Config, data_from_overrides
from tfpipeline.data.corpora import CORPORA
from tfpipeline.models.detector import model_options

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "saved_models/README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ALL_TREES = "trees"  # --model of `train` alone: all classical models


def load_reference():
    """The module that writes the reference pages when the documentation is built."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs/_hooks/reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = load_reference()
COMMANDS = REFERENCE.command_names()


def code_of(page: Path) -> list[str]:
    """Shell code of a page: its blocks and spans; of a YAML file, its first comment lines."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".yaml":
        return re.findall(r"^# (python -m .*)$", text, flags=re.MULTILINE)
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return blocks + [span for span in re.findall(r"`([^`\n]+)`", rest) if "…" not in span]


def commands_in(code: str) -> list[tuple[str, list[str]]]:
    """(command, arguments) of each `python -m tfpipeline.X …` or `tfpipeline X …`."""
    found = []
    for line in code.replace("\\\n", " ").splitlines():
        if "tfpipeline" not in line:
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if not set(word) <= set(";&|()<>"):
                words.append(word)
                continue
            match words:
                case [python, "-m", module, *arguments] if module.startswith("tfpipeline."):
                    assert Path(python).name == "python", line
                    found.append((module.partition(".")[2], arguments))
                case ["tfpipeline", command, *arguments]:
                    found.append((command, arguments))
            words = []
    return found


FOUND = [
    pytest.param(
        command, arguments, id=f"{page.relative_to(ROOT)}: {' '.join([command, *arguments])}"
    )
    for page in [*PAGES, *sorted(CONFIGS.glob("*.yaml"))]
    for code in code_of(page)
    for command, arguments in commands_in(code)
]


def test_commands_are_found_in_blocks_spans_and_comments():
    code = "cd x && bin/python -m tfpipeline.train --model cnn \\\n  --resume  # -m tfpipeline.no\n"
    assert commands_in(code) == [("train", ["--model", "cnn", "--resume"])]
    assert commands_in("tfpipeline audit --data demo; ls") == [("audit", ["--data", "demo"])]
    pages = {parameter.id.partition(":")[0] for parameter in FOUND}
    assert {"README.md", "docs/guides/train.md", "docs/results.md", "configs/cnn.yaml"} <= pages
    assert {parameter.values[0] for parameter in FOUND} == set(COMMANDS)


@pytest.mark.parametrize(("command", "arguments"), FOUND)
def test_a_command_parses_and_names_what_there_is(command, arguments, capsys):
    assert command in COMMANDS
    if not arguments:  # named, not called
        return
    try:
        flags = REFERENCE.command_parser(command).parse_args(arguments)
    except SystemExit as stop:
        if stop.code:
            pytest.fail(capsys.readouterr().err)
        return  # --help
    for name in [*(getattr(flags, "data", None) or []), *getattr(flags, "test", [])]:
        assert name.partition(":")[0] in CORPORA
    if command == "corpus" and getattr(flags, "overrides", None):
        data_from_overrides(flags.data[0], flags.overrides)
    elif command in ("train", "tune"):
        check_config(command, flags)


def check_config(command, flags):
    """The config that the flags name exists, and so do the keys that they set."""
    if command == "tune":
        assert flags.space or (CONFIGS / f"tune_{flags.model}.yaml").is_file()
    if flags.config:  # what another command writes
        flags.config, flags.model = None, "cnn"
    elif flags.model == ALL_TREES:
        flags.model = "histgb"
    config = config_from_flags(flags)
    build = REFERENCE.model_builders()[config.model.name]
    model_options(build, config)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("train", ["--model", "cnn", "--set", "training.no_key=1"]),
        ("train", ["--model", "cnn", "--set", "model.no_option=1"]),
        ("tune", ["--model", "no_model"]),
    ],
)
def test_wrong_commands_are_noticed(command, arguments):
    flags = REFERENCE.command_parser(command).parse_args(arguments)
    with pytest.raises((ValueError, FileNotFoundError, AssertionError)):
        check_config(command, flags)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_and_scripts_exist(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = page.parent / path if path else page
        assert file.is_file(), f"{page}: {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{page}: {target}"
    for script in re.findall(r"python (\S+\.py)", text):
        assert (ROOT / script).is_file(), f"{page}: {script}"


def anchors(page: Path) -> list[str]:
    """The anchors of a page's headings, as GitHub and MkDocs both make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [re.sub(r"[^\w -]", "", text).strip().lower().replace(" ", "-") for text in headings]


def test_the_readme_is_one_page():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_pages_ask_for_texts_that_there_are():
    asked = [name for page in PAGES for name in REFERENCE.MARKER.findall(page.read_text("utf-8"))]
    assert sorted(asked) == sorted(REFERENCE.TEXTS)


def test_the_reference_has_every_key_and_flag():
    def keys(section, prefix=""):
        for key, value in section.items():
            yield from keys(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]

    text = REFERENCE.config_keys()
    assert [
        key for key in keys(Config().model_dump(mode="json")) if f"| `{key}` |" not in text
    ] == []
    text = REFERENCE.command_line()
    for command in COMMANDS:
        for action in REFERENCE.command_parser(command)._actions:
            assert all(name in text for name in action.option_strings if name != "--help")


def test_types_and_defaults_are_written_as_in_yaml():
    text = REFERENCE.on_page_markdown("# Keys\n\n<!-- generated: config_keys -->\n")
    assert text.startswith("# Keys\n\n## Top level")
    assert "| `front_end.highpass_hz` | number or null, ≥ 10, ≤ 150 | `60` | the highest" in text
    assert "| `training.label_smoothing` | number, ≥ 0, &lt; 1 | `0` |" in text
    assert "| `data.split.shares` | list of 3 numbers | `[0.7, 0.15, 0.15]` |" in text
    both = "`auto` takes the fastest setting measured for the device found."
    assert f"| `training.jit` | `auto`, `on`, `off` | `auto` | {both} |" in text
    assert f"`mixed_float16` | `auto` | {both} |" in text
