"""Look at the host, for all that building a command line needs to know."""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from workstation.model.host import HostFacts
from workstation.paths import Paths
from workstation.qemu import firmware, kvm
from workstation.qemu.build import NO_BUILD, Build, ask_qemu, ask_qemu_img
from workstation.qemu.host_cache import HostCache, boot_key, changed_at, program_key
from workstation.qemu.kvm import KvmPlaces, KvmState


@dataclass(frozen=True, slots=True)
class HostPlaces:
    """Where to look; tests look elsewhere."""

    programs: str = "/usr/local/bin:/usr/bin:/bin:/usr/libexec:/usr/lib/qemu:/usr/lib"
    """Searched after `PATH`."""
    share: Path = Path("/usr/share")
    kvm: KvmPlaces = field(default_factory=KvmPlaces)
    firmware: tuple[Path, ...] | None = None
    """None: where QEMU's documentation says."""


async def probe(
    paths: Paths,
    environ: Mapping[str, str],
    *,
    places: HostPlaces | None = None,
    fresh: bool = False,
) -> HostFacts:
    """What is here now. A host without QEMU gives facts with an empty `qemu`.

    Takes a millisecond or two and starts no process while QEMU stays as it was
    (`paths.host_cache` remembers), some hundred milliseconds otherwise. KVM's quick checks are
    done each time; a guest is run under it once a boot of the host, or always where `fresh`.
    """
    where = places or HostPlaces()
    cache, facts, state = await asyncio.to_thread(_look, paths.host_cache, environ, where)
    build, image_build, state = await asyncio.gather(
        _build(cache, facts.qemu, ask_qemu),
        _build(cache, facts.qemu_img, ask_qemu_img),
        _proven(cache, state, where.kvm.device, fresh),
    )
    if cache.changed:
        await asyncio.to_thread(cache.save)
    return replace(
        facts,
        qemu_version=build.version,
        qemu_img_version=image_build.version,
        machine_types=build.machine_types,
        cpu_models=frozenset(build.cpu_models),
        qemu_knows=frozenset(build.knows or ()),
        user_network="user" in build.netdevs,
        audio=next((it for it in _sound_servers(environ) if it in build.audio), "none"),
        kvm=state.usable,
        kvm_reason=state.reason,
        kvm_mend=state.mend,
    )


def _look(
    cache: Path, environ: Mapping[str, str], places: HostPlaces
) -> tuple[HostCache, HostFacts, KvmState]:
    """Everything that needs no process."""
    everywhere = f"{environ.get('PATH', '')}:{places.programs}".split(":")
    # A relative or empty entry would look in whatever directory this happens to be.
    search = tuple(directory for directory in everywhere if directory.startswith("/"))
    directories = places.firmware or firmware.descriptor_directories(environ)
    facts = replace(
        _programs(search, tuple(map(changed_at, search))),
        firmware=tuple(firmware.find_all(directories, places.share)),
        cpus=len(os.sched_getaffinity(0)),
        cpu_flags=kvm.cpu_flags(places.kvm.cpuinfo),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    )
    return HostCache(cache), facts, kvm.look(places.kvm)


@lru_cache(maxsize=1)
def _programs(search: tuple[str, ...], _changed: tuple[int, ...]) -> HostFacts:
    """What is found in those directories; looked for again where one of them has changed."""

    def find(program: str) -> str:
        return shutil.which(program, path=":".join(search)) or ""

    return HostFacts(
        # RHEL and its kin have it as qemu-kvm, off PATH.
        qemu=find("qemu-system-x86_64") or find("qemu-kvm"),
        qemu_img=find("qemu-img"),
        swtpm=find("swtpm"),
        virtiofsd=find("virtiofsd"),
        passt=find("passt"),
    )


async def _build(cache: HostCache, program: str, ask: Callable[[str], Awaitable[Build]]) -> Build:
    """From the cache if the program has not changed. One that does not run is asked again, and so
    is one that did not say all."""
    if not program:
        return NO_BUILD
    key = program_key(program)
    try:
        return Build.from_json(cache.get(ask.__name__, key))
    except (LookupError, TypeError, ValueError, AttributeError):
        build = await ask(program)
    if build.version != NO_BUILD.version and build.knows is not None:
        cache.put(ask.__name__, key, asdict(build))
    return build


async def _proven(cache: HostCache, state: KvmState, device: Path, fresh: bool) -> KvmState:
    """Only success is remembered: what is wrong may be mended at any moment."""
    if not state.usable:
        return state
    key = boot_key(device)
    if not fresh and key and cache.get("kvm", key) is True:
        return state
    proof = await kvm.prove(device)
    cache.put("kvm", key, proof.usable)
    return proof


def _sound_servers(environ: Mapping[str, str]) -> Iterator[str]:
    """QEMU's drivers for the sound servers that run here."""
    runtime = Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    if environ.get("PULSE_SERVER") or (runtime / "pulse/native").exists():
        yield "pa"
    if (runtime / "pipewire-0").exists():
        yield "pipewire"
