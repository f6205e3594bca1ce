"""Object code on disk: kept, found, rebuilt when broken, bounded, and never a reason to fail."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from lossmith.engines.llvm import cache


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOSSMITH_CACHE_DIR", str(tmp_path / "deep" / "cache"))
    return tmp_path / "deep" / "cache"


class Maker:
    def __init__(self, code: bytes = b"code") -> None:
        self.code, self.calls = code, 0

    def __call__(self) -> bytes:
        self.calls += 1
        return self.code


def test_code_is_made_once_and_found_again(home: Path) -> None:
    make = Maker()
    assert [cache.fetch("key", make), cache.fetch("key", make)] == [b"code", b"code"]
    assert make.calls == 1
    assert cache.fetch("another key", Maker(b"other")) == b"other"
    assert len(list(home.iterdir())) == 2


@pytest.mark.parametrize("broken", [b"", b"junk", b"lossmith kernel 1\n" + b"0" * 40])
def test_a_broken_file_is_made_anew(home: Path, broken: bytes) -> None:
    cache.fetch("key", Maker())
    (file,) = home.iterdir()
    file.write_bytes(broken)
    make = Maker(b"mended")
    assert cache.fetch("key", make) == b"mended"
    assert cache.fetch("key", make) == b"mended"
    assert make.calls == 1


def test_one_flipped_bit_is_noticed(home: Path) -> None:
    cache.fetch("key", Maker(b"x" * 1000))
    (file,) = home.iterdir()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    make = Maker(b"mended")
    assert (cache.fetch("key", make), make.calls) == (b"mended", 1)


def test_a_folder_that_is_a_file_costs_a_compilation(home: Path) -> None:
    home.parent.mkdir()
    home.write_text("no folder")
    make = Maker()
    assert [cache.fetch("key", make), cache.fetch("key", make)] == [b"code", b"code"]
    assert make.calls == 2


def test_a_full_disk_leaves_no_part(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert cache.fetch("key", Maker()) == b"code"
    assert list(home.iterdir()) == []


def test_it_can_be_switched_off(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOSSMITH_CACHE_DIR", "")
    assert cache.fetch("key", Maker()) == b"code"
    assert not home.exists()


def test_the_oldest_go_when_it_is_full(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LIMIT", 3000)
    for place in range(6):
        cache.fetch(f"key {place}", Maker(bytes(900)))
        for age, file in enumerate(sorted(home.iterdir(), key=lambda item: item.stat().st_mtime_ns)):
            os.utime(file, (1000 + age, 1000 + age))
    assert len(list(home.iterdir())) == 3
    make = Maker()
    cache.fetch("key 5", make)
    assert make.calls == 0
    cache.fetch("key 0", make)
    assert make.calls == 1


def test_many_at_once_get_the_same() -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(cache.fetch("key", Maker(b"c" * 10**6)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [b"c" * 10**6] * 8
