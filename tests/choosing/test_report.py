"""The report: one page that needs nothing else, for everyone, the same each time."""

from __future__ import annotations

import itertools
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from lossmith import files
from lossmith.choosing import choose, figures, svg
from lossmith.choosing.choice import Choice
from lossmith.errors import TableError

from .conftest import QUICK, Write, amounts, classes

VOID = {"meta", "link", "br", "wbr", "hr", "img", "input"}


class Page(HTMLParser):
    """The elements of a page, and whether they are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.found if name == tag]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


@pytest.fixture(scope="module", params=["numbers", "classes"])
def text(request: pytest.FixtureRequest, choice: Choice, binary_choice: Choice) -> str:
    return (choice if request.param == "numbers" else binary_choice).to_html()


def outside(text: str) -> list[str]:
    """Everything in a page that would make a browser ask for something."""
    found = []
    for tag, attrs in Page(text).found:
        for name, value in attrs.items():
            asks = name in ("src", "srcset", "action", "data", "poster", "href", "xlink:href")
            if asks and not str(value).startswith(("#", "data:")):
                found.append(f"{tag} {name}={value}")
        if tag in ("script", "iframe", "object", "embed", "base"):
            found.append(tag)
    found += re.findall(r"@import[^;]*|url\((?!#)[^)]*\)", text)
    return found


def test_nothing_is_asked_of_the_outside(text: str) -> None:
    assert outside(text) == []


def test_that_law_can_fail() -> None:
    bad = '<link href="https://x.y/a.css"><img src="//x.y/i.png"><style>b{background:url(http://x)}</style>'
    assert len(outside(bad)) == 3


def test_it_is_small(text: str) -> None:
    assert len(text.encode()) < 1_000_000


def test_it_is_a_whole_page_with_landmarks_and_one_title(text: str) -> None:
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert page.all("html")[0]["lang"] == "en"
    for tag in ("title", "h1", "header", "main", "footer", "nav"):
        assert len(page.all(tag)) >= 1, tag
    assert len(page.all("h1")) == 1
    assert any("width=device-width" in str(meta.get("content")) for meta in page.all("meta"))
    levels = [int(tag[1]) for tag, _ in page.found if re.fullmatch(r"h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_identifiers_are_unique_and_references_lead_somewhere(text: str) -> None:
    page = Page(text)
    names = [attrs["id"] for _, attrs in page.found if "id" in attrs]
    assert len(names) == len(set(names))
    for _, attrs in page.found:
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(str(attrs.get(name) or "").split()) <= set(names)
        for name in ("href", "xlink:href"):
            if str(attrs.get(name, "")).startswith("#"):
                assert str(attrs[name])[1:] in names
    for reference in re.findall(r"url\(#([^)]*)\)", text):
        assert reference in names


def test_tables_have_captions_and_headings(text: str) -> None:
    page = Page(text)
    assert len(page.all("table")) == len(page.all("caption")) == 2
    assert all(heading.get("scope") in ("col", "row") for heading in page.all("th"))


def test_pictures_have_words(text: str) -> None:
    page = Page(text)
    pictures = page.all("svg")
    assert len(pictures) >= 6
    for picture in pictures:
        assert picture["role"] == "img"
        assert picture["aria-labelledby"]
    assert len([1 for tag, _ in page.found if tag == "desc"]) == len(pictures)
    assert "<text" in text  # text stays text


def test_colours_follow_the_page(text: str) -> None:
    """No colour is written into a drawing; each is a variable of the page, which knows light and dark."""
    drawings = "".join(re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL))
    assert re.findall(r"#[0-9a-fA-F]{6}\b", drawings) == []
    used = set(re.findall(r"var\((--[\w-]+)\)", text))
    style = text[text.index("<style>") : text.index("</style>")]
    light, dark = style.split("prefers-color-scheme: dark")
    for variable in used:
        assert f"{variable}:" in light
        assert f"{variable}:" in dark.split("* {")[0]


def test_a_drawing_does_not_style_the_page(text: str) -> None:
    assert text.count("<style") == 1


def contrast(one: str, other: str) -> float:
    """Contrast of two colours as WCAG 2.2 defines it."""

    def light(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    first, second = sorted((light(one), light(other)))
    return (second + 0.05) / (first + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_told_from_their_ground(text: str, scheme: int) -> None:
    style = text[text.index("<style>") : text.index("</style>")].split("prefers-color-scheme: dark")[scheme]
    colour = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", style))
    for ink, ground in (
        ("ink", "card"),
        ("faint", "card"),
        ("faint", "page"),
        ("accent", "page"),
        ("good", "good-soft"),
    ):
        assert contrast(colour[ink], colour[ground]) >= 4.5, (ink, ground)
    assert contrast(colour["warn"], colour["warn-soft"]) >= 4.5
    for number in range(1, 9):
        assert contrast(colour[f"series-{number}"], colour["card"]) >= 3.0, number


def test_it_says_what_a_person_wants_to_know(choice: Choice) -> None:
    text = Page(choice.to_html()).text
    for part in (
        choice.headline,
        "Which loss for amount?",
        f"Use {choice.recommended.label}",
        *choice.profile.sentences(),
        *(candidate.reason for candidate in choice.candidates),
        "3 folds",
        "seed 0",
        "Nadeau and Bengio 2003",
        "import lossmith as lm",
        "names the rows",
    ):
        assert part in text, part


def test_two_classes_get_a_reliability_diagram(binary_choice: Choice) -> None:
    assert "Can the probabilities be trusted?" in binary_choice.to_html()


def test_scores_get_a_picture_of_their_own(table: Write) -> None:
    found = choose(
        table(classes(120)), "answer", metric="zero_one", losses=["hinge", "squared_hinge"], only=True, **QUICK
    )
    assert "The scores are no probabilities." in found.to_html()


def test_the_same_choice_gives_the_same_page(choice: Choice) -> None:
    assert choice.to_html() == choice.to_html()


def test_a_person_s_matplotlib_settings_change_nothing(choice: Choice) -> None:
    import matplotlib as mpl

    before = figures.pictures(choice)["target"].svg
    with mpl.rc_context({"axes.xmargin": 0.3, "patch.linewidth": 5, "figure.dpi": 300, "svg.fonttype": "path"}):
        assert figures.pictures(choice)["target"].svg == before


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "price $a_b$ {x}", "цена 价格 🏷", "quote\"'&amp;"])
def test_names_are_names_and_nothing_more(table: Write, name: str) -> None:
    columns = amounts(60)
    path = table({"x": columns["x"], name + " 2": columns["z"], name: columns["amount"]})
    found = choose(path, name, losses=["mse", "mae"], only=True, folds=2, repeats=1, rounds=5)
    text = found.to_html()
    assert "<script" not in text
    assert f"Which loss for {name}?" in Page(text).text


def test_all_pictures_are_drawn_without_the_page(choice: Choice) -> None:
    drawn = figures.pictures(choice)
    assert list(drawn) == ["target", "curves", "scores", "gaps", "held-out", "features"]
    assert all(isinstance(picture, svg.Picture) and picture.caption for picture in drawn.values())


def test_writing_replaces_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")
    files.write(target, "new")
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o666 & ~_umask()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(TableError, match=r"cannot write .*No space left on device"):
        files.write(target, "newer")
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["report.html"]  # nothing half written is left


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_an_interrupt_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        files.write(tmp_path / "report.html", "text")
    assert os.listdir(tmp_path) == []

    def make(path: Path, flags: int, mode: int) -> int:
        os.close(made(path, flags, mode))
        raise KeyboardInterrupt  # before anybody knows that the file is there

    made = os.open
    monkeypatch.setattr(os, "open", make)
    with pytest.raises(KeyboardInterrupt):
        files.replace(tmp_path / "report.html", b"text")
    assert os.listdir(tmp_path) == []


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, message in (
        (tmp_path / "nowhere" / "r.html", "the folder '.*nowhere' does not exist"),
        (tmp_path / "file" / "r.html", "the folder '.*file' is not a folder"),
        (tmp_path, "it is a folder"),
    ):
        with pytest.raises(TableError, match=message):
            files.check_writable(path)
    files.check_writable(tmp_path / "r.html")
    assert os.listdir(tmp_path) == ["file"]
