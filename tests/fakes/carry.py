"""Bundles without files: what the dialogs for them show and answer."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fakes.layers import NOW
from workstation.core.bundle.estimate import Estimate
from workstation.core.bundle.export import Exported, Wish
from workstation.core.bundle.importing import AS_IT_IS, Imported, Words
from workstation.core.bundle.inspection import Report
from workstation.core.bundle.reader import Bundle
from workstation.core.bundle.verbs import Carry
from workstation.core.foreign.adopt import Imported as Adopted
from workstation.core.foreign.look import Looked
from workstation.core.foreign.recognise import Kind
from workstation.core.foreign.verbs import Foreign
from workstation.core.inplace.settle import Settled
from workstation.core.inplace.verbs import InPlace, Opened, Place
from workstation.errors import LockedError, NotFoundError, UsageError
from workstation.model.bundle import CarriedMachine, Manifest, StoredFile, StoredLayer
from workstation.model.events import MachineChanged
from workstation.model.host import Finding, Level
from workstation.model.layer import Layer
from workstation.model.machine import MachineView, State
from workstation.model.profile import Profile

if TYPE_CHECKING:
    from tests.fakes.workstation import FakeWorkstation

GIB, MIB = 2**30, 2**20
SIGNER = "5rur-ndnm-fdpf-grgp-eewf-2exh"

STICK = Place(Path("/media/me/STICK"), "STICK", "exfat", 28 * GIB, True)
CARD = Place(Path("/media/me/CAMERA CARD"), "CAMERA CARD", "vfat", 3 * GIB, False)
HERE = Place(Path("/home/me"), "this computer", "ext4", 80 * GIB, True)


def report(
    path: Path, name: str = "sales-demo", *, trusted: bool = True, problems: bool = False
) -> Report:
    """Of a bundle with two layers, the upper one with memory."""
    made = datetime.fromtimestamp(NOW - 7200, UTC)
    plain = Profile.model_validate({"name": name, "memory": "512 MiB"})
    layers = [
        Layer(id=f"{n:016x}", parent=f"{n - 1:016x}" if n > 1 else None, created=made,
              profile=plain)
        for n in (1, 2)
    ]  # fmt: skip
    stored = tuple(StoredLayer(layer=layer, files=(_nothing(),)) for layer in layers)
    machine = CarriedMachine.model_validate(
        {"name": name, "uuid": "b1b4caec-576c-4f1f-92e2-964c49dc416b", "created": made,
         "profile": plain, "top": layers[1].id, "resume": True,
         "snapshots": {"golden": layers[0].id}, "golden": "golden"}
    )  # fmt: skip
    manifest = Manifest(
        id="00000000000000b1", created=made, program="workstation 0.1", machine=machine,
        layers=stored,
    )  # fmt: skip
    by = f"by {SIGNER} (Maria)" if trusted else f"by {SIGNER}, whom you do not trust"
    signer = Finding("signature", Level.OK if trusted else Level.NOTE, by)
    lacking = Finding(
        "memory", Level.PROBLEM, "it ran under kvm, and here it would under tcg",
        "or boot it: its disks are the same",
    )  # fmt: skip
    port = Finding("ports", Level.NOTE, "host port 8080 is taken", "8081 leads into it instead")
    return Report(
        path=path, size=412 * MIB, manifest=manifest, signer=SIGNER,
        signer_name="Maria" if trusted else "", trusted=trusted, cut_off=False, verified=False,
        in_place=True, new=400 * MIB,
        findings=(signer, *([lacking, port] if problems else [])),
    )  # fmt: skip


def _nothing() -> StoredFile:
    return StoredFile(name="drive0.qcow2", size=0, digests="")


class FakeCarry(Carry):
    """`reports[path]` is what a bundle is; every verb lands in the station's calls."""

    def __init__(self, station: "FakeWorkstation") -> None:
        self._fake = station
        self.reports: dict[Path, Report] = {}
        self.locks: dict[Path, str] = {}
        """The passphrases of those that have one."""

    async def inspect(
        self, path: Path, *, verify_all: bool = False, passphrase: str = ""
    ) -> Report:
        if path in self.locks and not passphrase:
            raise LockedError(f"{path} is encrypted", bundle=str(path), hint="unlock it")
        if passphrase != self.locks.get(path, ""):
            raise UsageError("that is not the bundle's passphrase", hint="try again")
        if path not in self.reports:
            raise NotFoundError(f"there is no file {path}", hint="check the path")
        return self.reports[path]

    def unlock(self, path: Path, passphrase: str) -> Bundle:
        if passphrase != self.locks.get(path, ""):
            raise UsageError("that is not the bundle's passphrase", hint="try again")
        self._fake.fails.clear()
        return None  # type: ignore[return-value]

    async def export(self, name: str, path: Path, wish: Wish | None = None) -> Exported:
        wish = wish or Wish()
        words = [word for word in ("memory", "flatten", "compress") if getattr(wish, word)]
        words += ["passphrase"] if wish.passphrase else []
        await self._fake._called("export", name, str(path), *words)
        return Exported(
            file=path, written=412 * MIB, size=412 * MIB, layers=2, added=2, memory=wish.memory,
            left_out=(), fingerprint=SIGNER,
            medium="STICK" if path.is_relative_to(STICK.path) else "",
        )  # fmt: skip

    async def import_file(
        self, path: Path, words: Words = AS_IT_IS, *, passphrase: str = ""
    ) -> Imported:
        given = [words.into, "discard" if words.discard else ""]
        await self._fake._called("import", str(path), words.load_memory, *filter(None, given))
        self._fake.publish(MachineChanged(MachineView("carried", State.FROZEN)))
        return Imported(
            name="carried", layers=2, shared=0, copied=400 * MIB, resumes=True,
            updated=bool(words.into), distrusted=False, signer=SIGNER, signer_name="Maria",
            said=("its MAC addresses are new",),
        )  # fmt: skip


class FakeForeign(Foreign):
    """`files[path]` is what another program's file is; whatever has a report is a bundle."""

    def __init__(self, station: "FakeWorkstation") -> None:
        self._fake = station
        self.files: dict[Path, Looked] = {}

    def recognise(self, path: Path) -> Kind:
        if path in self.files:
            return self.files[path].kind
        if path in self._fake.bundles.reports:
            return Kind.BUNDLE
        raise NotFoundError(f"there is no file {path}", hint="check the path")

    async def look(self, path: Path) -> Looked:
        return self.files[path]

    async def adopt(self, path: Path, name: str = "") -> Adopted:
        await self._fake._called("adopt", str(path))
        self._fake.publish(MachineChanged(MachineView("appliance", State.CREATED)))
        return Adopted("appliance", self.files[path].kind, ("its sound card",))


class FakeInPlace(InPlace):
    """`plugged` is what there is to write to; `estimates` what it would write, by path."""

    def __init__(self, station: "FakeWorkstation") -> None:
        self._fake = station
        self.plugged: list[Place] = [STICK, HERE]
        self.bundles: list[Path] = []
        self.estimates: dict[Path, Estimate] = {}
        self.pictured: Path | None = None

    def around(self) -> list[Path]:
        return self.bundles

    def places(self) -> list[Place]:
        return list(self.plugged)

    def estimate(self, name: str, path: Path, wish: Wish) -> Estimate:
        usual = Estimate(412 * MIB, 112 * MIB) if wish.memory else Estimate(300 * MIB, 0)
        return self.estimates.get(path, usual)

    def picture(self, report: Report, passphrase: str = "") -> Path | None:
        return self.pictured

    async def open(
        self, path: Path, name: str = "", *, load_memory: str = "", cold: bool = False,
        force: bool = False, passphrase: str = "",
    ) -> Opened:  # fmt: skip
        words = [word for word, said in (("cold", cold), ("force", force)) if said]
        await self._fake._called("open", str(path), load_memory, *words)
        made = MachineView("carried", State.FROZEN, reads=f"the stick “STICK” with {path.name}")
        self._fake.publish(MachineChanged(made))
        return Opened(
            name="carried", resumes=not cold, distrusted=False, signer=SIGNER,
            signer_name="Maria", said=("host port 8080 is taken",),
        )  # fmt: skip

    async def settle(self, name: str) -> Settled:
        await self._fake._called("settle", name)
        self._fake.change(name, reads="")
        return Settled(400 * MIB, 2)
