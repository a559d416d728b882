"""What the probe finds, and when it starts QEMU."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from workstation.model.host import HostFacts
from workstation.paths import Paths
from workstation.qemu import kvm
from workstation.qemu.build import parse_cpu_models, parse_machine_types, parse_version, parse_words
from workstation.qemu.host import HostPlaces, probe
from workstation.qemu.kvm import KvmPlaces, KvmState

QEMU = """
case "$*" in
    *-qmp*) cat <<'END'
{"QMP": {}}
{"return": {}}
{"return": [{"capability": "xbzrle", "state": false}, {"capability": "mapped-ram", "state": false}]}
{"error": {"class": "GenericError", "desc": "nothing of that name"}}
END
        exit ;;
esac
case "$1" in
    --version) echo "QEMU emulator version 9.2.1 (Debian 1:9.2.1)" ;;
    -machine) printf 'Supported machines are:\\nq35  Standard (alias of pc-q35-9.2)\\n'
        printf 'pc-q35-9.2  Standard\\nmicrovm  microvm (i386)\\n' ;;
    -cpu) printf 'Available CPUs:\\n  Nehalem  (alias)\\n  max  Enables all\\n\\nFlags:\\n  x\\n' ;;
    -audiodev) printf 'Available audio drivers:\\nnone\\npa\\n' ;;
    -netdev) printf 'Available netdev backend types:\\nuser\\ntap\\n' ;;
esac
"""


@dataclass
class Bench:
    base: Path

    def __post_init__(self) -> None:
        self.bin = self.base / "bin"
        self.bin.mkdir()
        (self.base / "cpuinfo").write_text("flags : svm\n")
        self.paths = Paths(*(self.base / name for name in ("data", "config", "cache", "run")))
        self.places = HostPlaces(
            programs="",
            share=self.base,
            kvm=KvmPlaces(self.base / "kvm", self.base / "cpuinfo", "x86_64"),
            firmware=(self.base / "firmware",),
        )
        self.environ: Mapping[str, str] = {"PATH": str(self.bin), "XDG_RUNTIME_DIR": str(self.base)}

    def program(self, name: str, body: str = "") -> Path:
        path = self.bin / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.base}/calls"\n{body}\n')
        path.chmod(0o755)
        return path

    def install_qemu(self) -> None:
        self.program("qemu-system-x86_64", QEMU)
        self.program("qemu-img", 'echo "qemu-img version 9.2.1"')

    def calls(self) -> int:
        """How many programs were started since the last time."""
        path = self.base / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return len(lines)

    async def probe(self, *, fresh: bool = False) -> HostFacts:
        return await probe(self.paths, self.environ, places=self.places, fresh=fresh)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_a_host_with_nothing(bench: Bench) -> None:
    facts = await bench.probe()
    assert (facts.qemu, facts.qemu_img, facts.swtpm, facts.virtiofsd) == ("", "", "", "")
    assert facts.qemu_version == (0, 0, 0)
    assert not facts.kvm
    assert "there is no" in facts.kvm_reason
    assert facts.memory > 0
    assert facts.cpus > 0


async def test_what_qemu_says_of_itself(bench: Bench) -> None:
    bench.install_qemu()
    bench.program("swtpm")
    facts = await bench.probe()
    assert facts.qemu == str(bench.bin / "qemu-system-x86_64")
    assert facts.qemu_version == facts.qemu_img_version == (9, 2, 1)
    assert facts.machine_types["q35"] == facts.machine_types["pc-q35-9.2"] == "pc-q35-9.2"
    assert facts.machine_types["microvm"] == "microvm"
    assert facts.cpu_models == {"Nehalem", "max"}
    assert facts.user_network
    assert facts.qemu_knows == {"mapped-ram"}
    assert facts.swtpm == str(bench.bin / "swtpm")


async def test_the_second_time_nothing_is_started(bench: Bench) -> None:
    bench.install_qemu()
    first = await bench.probe()
    assert bench.calls() == 7
    assert await bench.probe() == first
    assert bench.calls() == 0


async def test_another_qemu_is_asked_again(bench: Bench) -> None:
    bench.install_qemu()
    await bench.probe()
    bench.calls()
    bench.program("qemu-system-x86_64", QEMU.replace("9.2.1", "10.0.0"))
    assert (await bench.probe()).qemu_version == (10, 0, 0)
    assert bench.calls() == 6


async def test_what_qemu_did_not_say_is_asked_again(bench: Bench) -> None:
    bench.install_qemu()
    bench.program("qemu-system-x86_64", QEMU.replace('{"error"', "{"))
    assert not (await bench.probe()).qemu_knows
    bench.calls()
    await bench.probe()
    assert bench.calls() == 6


@pytest.mark.parametrize(
    ("types", "knows"),
    [
        ('{"return": []}', ("mapped-ram",)),
        ('{"return": [{"name": "monitor-qmp"}]}', ("mapped-ram", "monitor-qmp")),
        ('{"return": [{"name": "mon', None),
    ],
)
def test_the_words_that_a_qemu_knows(types: str, knows: tuple[str, ...] | None) -> None:
    capabilities = '{"return": [{"capability": "events"}, {"capability": "mapped-ram"}]}'
    session = ['{"QMP": {}}', '{"return": {}}', capabilities, '{"event": "SHUTDOWN"}', types]
    assert parse_words("\n".join(session)) == knows


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"format": 1, "ask_qemu": 3}',
        '{"format": 0}',
        "[" * 100_000,
        "\xff\xfe",
    ],
)
async def test_a_broken_cache_is_made_anew(bench: Bench, text: str) -> None:
    bench.install_qemu()
    bench.paths.cache.mkdir()
    bench.paths.host_cache.write_text(text, encoding="latin-1")
    first = await bench.probe()
    assert first.qemu_version == (9, 2, 1)
    bench.calls()
    assert await bench.probe() == first
    assert bench.calls() == 0


@pytest.mark.parametrize("value", [None, 3, {}, {"version": ["a"]}, {"version": [1, 2]}])
async def test_a_cache_with_wrong_values_is_made_anew(bench: Bench, value: object) -> None:
    bench.install_qemu()
    await bench.probe()
    cache = json.loads(bench.paths.host_cache.read_text())
    cache["ask_qemu"]["value"] = value
    bench.paths.host_cache.write_text(json.dumps(cache))
    assert (await bench.probe()).qemu_version == (9, 2, 1)


async def test_a_cache_that_cannot_be_written_is_done_without(bench: Bench) -> None:
    bench.install_qemu()
    bench.paths.cache.touch()
    assert (await bench.probe()).qemu_version == (9, 2, 1)


async def test_a_qemu_that_does_not_run_is_asked_again(bench: Bench) -> None:
    bench.program("qemu-system-x86_64", "exit 127")
    facts = await bench.probe()
    assert facts.qemu
    assert facts.qemu_version == (0, 0, 0)
    bench.install_qemu()
    assert (await bench.probe()).qemu_version == (9, 2, 1)


async def test_a_program_in_the_current_directory_is_not_taken(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.install_qemu()
    monkeypatch.chdir(bench.bin)
    bench.environ = {"PATH": ":."}
    assert (await bench.probe()).qemu == ""


@pytest.mark.parametrize(
    ("socket", "driver"), [("pulse/native", "pa"), ("pipewire-0", "none"), ("other", "none")]
)
async def test_sound_needs_a_server_and_a_driver_for_it(
    bench: Bench, socket: str, driver: str
) -> None:
    bench.install_qemu()
    (bench.base / "pulse").mkdir()
    (bench.base / socket).touch()
    assert (await bench.probe()).audio == driver


async def test_kvm_is_proven_once_and_looked_at_each_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.base / "kvm").touch()
    looks = [KvmState(True)] * 4 + [KvmState(False, "gone")]
    proofs: list[Path] = []

    async def prove(device: Path) -> KvmState:
        proofs.append(device)
        return KvmState(True)

    monkeypatch.setattr(kvm, "look", lambda _: looks.pop(0))
    monkeypatch.setattr(kvm, "prove", prove)
    assert (await bench.probe()).kvm
    assert (await bench.probe()).kvm
    assert len(proofs) == 1
    assert (await bench.probe(fresh=True)).kvm
    assert len(proofs) == 2
    os.utime(bench.base / "kvm", (1, 1))  # the device was made anew
    assert (await bench.probe()).kvm
    assert len(proofs) == 3
    last = await bench.probe()
    assert (last.kvm, last.kvm_reason) == (False, "gone")


async def test_a_failed_proof_is_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    (bench.base / "kvm").touch()
    outcomes = [KvmState(False, "held by another"), KvmState(True)]

    async def prove(_: Path) -> KvmState:
        return outcomes.pop(0)

    monkeypatch.setattr(kvm, "look", lambda _: KvmState(True))
    monkeypatch.setattr(kvm, "prove", prove)
    assert (await bench.probe()).kvm_reason == "held by another"
    assert (await bench.probe()).kvm


def test_cpu_models_as_older_qemu_prints_them() -> None:
    text = (
        "Available CPUs:\nx86 486  (alias)\nx86 Nehalem-v1  Intel\n\nRecognized CPUID flags:\n  3dn"
    )
    assert parse_cpu_models(text) == {"486", "Nehalem-v1"}


def test_garbage_gives_nothing() -> None:
    assert parse_version("no") == (0, 0, 0)
    assert parse_version("QEMU emulator version 8.2") == (8, 2, 0)
    assert parse_machine_types("") == {}
    assert parse_cpu_models("") == set()


@pytest.mark.qemu
async def test_the_qemu_of_this_host(tmp_path: Path) -> None:
    paths = Paths(*(tmp_path / name for name in ("data", "config", "cache", "run")))
    facts = await probe(paths, os.environ)
    assert facts.qemu
    assert facts.qemu_version >= (7, 2, 0)
    assert facts.qemu_img_version == facts.qemu_version
    assert facts.machine_types["q35"].startswith("pc-q35-")
    assert {"Nehalem", "max", "qemu64"} <= facts.cpu_models
    assert facts.kvm or facts.kvm_reason
    again = await probe(paths, os.environ)
    assert replace(again, memory=facts.memory) == facts
