"""Profiles that invented machines are made from."""

from workstation.model.profile import Profile


def profile(name: str, **more: object) -> Profile:
    return Profile.model_validate({"name": name, "memory": "512 MiB", **more})


PROFILES = {
    "appliance": profile(
        "appliance", description="A small Linux with a web page", memory="128 MiB", ready="ready"
    ),
    "debian-12": profile(
        "debian-12", description="Debian 12, to be installed from its disc", memory="2 GiB",
        cpu={"cores": 2}, drives=[{"size": "20 GiB"}],
    ),
    "sales-demo": profile(
        "sales-demo", description="The appliance with its web page on port 8080", memory="128 MiB",
        networks=[{"forwards": ["8080:80"]}], drives=[{"size": "64 MiB"}],
    ),
    "windows-11": profile(
        "windows-11", description="Windows 11, with Secure Boot and a TPM", memory="4 GiB",
        cpu={"cores": 4}, boot={"firmware": "uefi-secure"}, drives=[{"size": "64 GiB"}],
    ),
}  # fmt: skip
