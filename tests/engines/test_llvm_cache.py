"""Object code on disk: kept, found, rebuilt when broken, bounded, and never a reason to fail."""

from __future__ import annotations

import ctypes
import gc
import os
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest

import lossmith as lm
from lossmith.engines.llvm import cache
from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm.form import Form
from lossmith.engines.llvm.kernel import Kernel
from tests.engines import child


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
    monkeypatch.setattr(cache, "OFTEN", 1)
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


def test_the_folder_is_for_its_user_alone(home: Path) -> None:
    cache.fetch("key", Maker())
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_a_folder_that_others_can_write_is_not_trusted(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache.fetch("key", Maker(b"theirs"))
    home.chmod(0o777)
    make = Maker(b"mine")
    assert [cache.fetch("key", make), cache.fetch("key", make)] == [b"mine", b"mine"]
    assert [record.getMessage() for record in caplog.records] == [
        f"compiled code is not kept: the folder {home} can be written by others; run chmod 700 {home}"
    ]
    home.chmod(0o700)
    assert cache.fetch("key", make) == b"theirs"


def test_a_folder_of_another_user_is_not_trusted(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache.fetch("key", Maker(b"theirs"))
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert cache.fetch("key", Maker(b"mine")) == b"mine"
    assert cache.fetch("key", Maker(b"mine")) == b"mine"
    (record,) = caplog.records
    assert "belongs to another user; set LOSSMITH_CACHE_DIR to one of your own" in record.getMessage()


def test_code_under_another_name_is_not_loaded(home: Path) -> None:
    """Such as code that was made for another machine, and moved."""
    cache.fetch("for one machine", Maker(b"one"))
    (file,) = home.iterdir()
    cache.fetch("for another", Maker(b"another"))
    (other,) = set(home.iterdir()) - {file}
    file.replace(other)
    assert cache.fetch("for another", Maker(b"made anew")) == b"made anew"


@pytest.mark.parametrize("what", ["cpu", "features", "triple", "VERSION"])
def test_code_of_another_machine_or_version_is_never_found(
    home: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    program, form = lm.Huber().part("value", "valid"), Form("float", (), summed=True)
    Kernel(program, form)
    Kernel(program, form)
    assert len(list(home.iterdir())) == 1
    made = compiler.build
    monkeypatch.setattr(compiler, "build", lambda text: made(text))
    if what == "VERSION":
        monkeypatch.setattr(compiler, "VERSION", "another")
    else:
        here = compiler.host()
        another = replace(here, **{what: getattr(here, what) + "x"})
        machine = compiler._machine()
        monkeypatch.setattr(compiler, "host", lambda: another)
        monkeypatch.setattr(compiler, "_machine", lambda level=3: machine)
    Kernel(program, form)
    assert len(list(home.iterdir())) == 2


def test_functions_that_modules_share_are_made_once(home: Path) -> None:
    def call(number: int, shared: str) -> int:
        text = f"""
declare i64 @seven_of_tests()
define i64 @number() {{
  %seven = call i64 @seven_of_tests()
  %found = add i64 %seven, {number}
  ret i64 %found
}}
"""
        signature = ctypes.CFUNCTYPE(ctypes.c_int64)
        return int(compiler.function(text, "number", signature, {"seven_of_tests": shared})())

    seven = "define i64 @seven_of_tests() {\n  ret i64 7\n}"
    assert [call(1, seven), call(2, seven), call(1, seven)] == [8, 9, 8]
    assert len(list(home.iterdir())) == 3
    call(1, f"; another release\n{seven}")  # whose functions may want to be called in another way
    assert len(list(home.iterdir())) == 4


def test_modules_do_not_know_of_each_others_functions(home: Path) -> None:
    def number(value: int) -> compiler.Loaded:
        return compiler.loaded(f"define i64 @number() {{\n  ret i64 {value}\n}}")

    signature, made = ctypes.CFUNCTYPE(ctypes.c_int64), [number(1), number(2)]
    assert [signature(code.address("number"))() for code in made] == [1, 2]
    with pytest.raises(RuntimeError, match="other"):
        compiler.loaded("declare i64 @number()\ndefine i64 @other() {\n  %n = call i64 @number()\n  ret i64 %n\n}")
    del made[0]
    gc.collect()
    compiler._unused.clear()
    assert signature(made[0].address("number"))() == 2


def test_the_folder_is_gone_through_now_and_then_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LIMIT", 3000)
    gone_through, held, whole = [], [], cache._tidy
    monkeypatch.setattr(cache, "_tidy", lambda folder: (gone_through.append(folder), whole(folder)))
    for place in range(10 * cache.OFTEN):
        cache.fetch(f"key {place}", Maker(bytes(900)))
        held.append(len(list(home.iterdir())))
    assert 3 <= len(gone_through) <= 30
    assert max(held) < 5 * cache.OFTEN
    assert min(held[-5 * cache.OFTEN :]) == 3


def test_what_a_dead_process_left_is_cleared_away(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "OFTEN", 1)
    cache.fetch("key", Maker())
    old, new = home / "old.part", home / "new.part"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1000, 1000))
    cache.fetch("another key", Maker())
    assert not old.exists()
    assert new.exists()


MADE = 4
"""Modules that ``COST`` needs: for the cost, for the gradient, and what reads arrays and records."""

COST = """
y, f = data(1 << 16)
with choice.using("llvm"):
    print(lm.LogCosh().cost(y, f), lm.LogCosh().gradient(y, f).sum())
"""


@pytest.fixture(scope="module")
def right() -> str:
    return child.run(COST, {"LOSSMITH_CACHE_DIR": ""})[0]


def test_processes_that_write_at_once_get_the_same(home: Path, right: str) -> None:
    found = {child.end(process) for process in [child.start(COST) for _ in range(4)]}
    assert found == {(right, "")}
    assert sorted(path.suffix for path in home.iterdir()) == [".kernel"] * MADE


def test_a_file_that_cannot_be_written_to_its_end_is_not_kept(home: Path, right: str) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
    assert child.run(limit + COST) == (right, "")
    assert list(home.iterdir()) == []
    assert child.run(COST) == (right, "")
    assert len(list(home.iterdir())) == MADE


@pytest.mark.parametrize("keep", [0, 1, 20, 60, -1])
def test_files_cut_short_are_made_anew(home: Path, right: str, keep: int) -> None:
    assert child.run(COST) == (right, "")
    for path in home.iterdir():
        path.write_bytes(path.read_bytes()[:keep])
    assert child.run(COST) == (right, "")
    assert min(path.stat().st_size for path in home.iterdir()) > 1000


READ_ONLY = """
import pathlib, tempfile
from lossmith.engines.llvm import compile as compiler, kernel
assert choice.compiled_is_available()
y, f = data(1 << 16)
with choice.using("numpy"):
    lm.LogCosh().gradient(y, f)  # all that is to be imported is by now
with tempfile.TemporaryDirectory() as place:
    os.environ["LOSSMITH_CACHE_DIR"] = home = os.path.join(place, "cache")
    os.mkdir(home)
    if os.geteuid() == 0:  # whom no permission stops
        os.chmod(place, 0o755)
        os.chown(home, 65534, 65534)
        os.seteuid(65534)
    os.chmod(home, 0o500)
"""


def test_a_folder_that_is_read_only_costs_a_compilation(right: str) -> None:
    steps = [*COST.strip().splitlines()[1:], "assert not os.listdir(home)", "os.seteuid(os.getuid())"]
    assert child.run(READ_ONLY + "".join(f"    {step}\n" for step in steps)) == (right, "")
