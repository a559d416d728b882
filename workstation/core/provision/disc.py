"""A small disc with a label and a few files, as cloud-init and installers look for one."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path


def write_disc(target: Path, label: str, files: Mapping[str, bytes]) -> None:
    """An ISO 9660 image that has the names in full too (Rock Ridge, Joliet); only we may read it.

    Up to 26 files.
    """
    from pycdlib import PyCdlib

    image = PyCdlib()
    image.new(interchange_level=3, vol_ident=label, joliet=3, rock_ridge="1.09")
    for number, (name, content) in enumerate(files.items()):
        image.add_fp(
            BytesIO(content),
            len(content),
            f"/FILE{chr(65 + number)}.;1",
            rr_name=name,
            joliet_path=f"/{name}",
        )
    target.touch(mode=0o600)
    with target.open("r+b") as opened:
        image.write_fp(opened)
    image.close()
