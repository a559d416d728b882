"""What cloud-init is told, in its own words (its documentation's “Modules” and “NoCloud”)."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from workstation.core.provision.keys import KeyPair
from workstation.model.network import Network
from workstation.model.profile import Profile, Share
from workstation.model.provision import GuestFile

HEADER = "#cloud-config\n"

Words = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Supplies:
    """What a profile's words stand for, as it was when the machine was made."""

    name: str
    """The machine's."""
    token: str
    """Printed on the guest's console when all has been done; nobody else knows it before."""
    keys: Sequence[str] = ()
    """Public keys that may log in."""
    host: KeyPair | None = None
    """The guest's own key: so it is known here before it is ever asked."""
    password: str = ""
    """A hash."""
    sources: Mapping[str, bytes] | None = None
    """The content of files of this computer, by their path in the guest."""


def finished(token: str) -> str:
    """What the guest prints at the end."""
    return f"workstation: set up {token}"


def meta_data(instance: str, hostname: str) -> str:
    return _yaml({"instance-id": instance, "local-hostname": hostname})


def vendor_data(token: str) -> str:
    """Beside a person's own user data, which may say otherwise."""
    return HEADER + _yaml({"final_message": finished(token)})


def network_config(networks: Sequence[Network]) -> str:
    """Each adapter asks by DHCP; nothing where there is one, which cloud-init finds by itself.

    A private network's domain is searched, so that its machines are found by their bare names.
    """
    plugged = [(n, one) for n, one in enumerate(networks) if one.mode != "none"]
    if len(plugged) < 2:
        return ""
    adapters = {
        f"net{number}": {
            "match": {"macaddress": one.mac},
            "set-name": f"net{number}",
            "dhcp4": True,
            "dhcp4-overrides": {"use-domains": True},
        }
        for number, one in plugged
    }
    return _yaml({"version": 2, "ethernets": adapters})


def user_data(profile: Profile, given: Supplies) -> str:
    """All that the profile asks for."""
    provision = profile.provision
    words: Words = {
        **_names(provision.hostname or given.name),
        **_user(provision.user, given),
        **_host_key(given.host),
    }
    if provision.timezone:
        words["timezone"] = provision.timezone
    if provision.keyboard:
        layout, _, variant = provision.keyboard.partition("-")
        words["keyboard"] = {"layout": layout, "variant": variant}
    if provision.packages or provision.update:
        words |= {"package_update": True, "packages": list(provision.packages)}
        words["package_upgrade"] = provision.update
    if provision.files:
        words["write_files"] = [_file(file, given.sources or {}) for file in provision.files]
    commands = [*_shell(provision.user), *_mounts(profile), *provision.run]
    if commands:
        words["runcmd"] = commands
    words["final_message"] = finished(given.token)
    return HEADER + _yaml(words)


def _names(hostname: str) -> Words:
    short = hostname.partition(".")[0]
    full = {"fqdn": hostname} if "." in hostname else {}
    return {"hostname": short, **full, "manage_etc_hosts": "localhost"}


def _user(user: str | None, given: Supplies) -> Words:
    keys = {"ssh_authorized_keys": list(given.keys)} if given.keys else {}
    if user == "root":
        password = {"name": "root", "password": given.password, "type": "hash"}
        chpasswd: Words = {"expire": False, "users": [password]}
        return {
            "disable_root": False,
            **keys,
            **({"chpasswd": chpasswd} if given.password else {}),
        }
    if not user:
        return keys
    secret = {"lock_passwd": False, "hashed_passwd": given.password} if given.password else {}
    return {"users": [{"name": user, "sudo": "ALL=(ALL) NOPASSWD:ALL", **keys, **secret}]}


def _host_key(host: KeyPair | None) -> Words:
    if not host:
        return {}
    return {"ssh_keys": {"ed25519_private": host.private, "ed25519_public": host.public}}


def _file(file: GuestFile, sources: Mapping[str, bytes]) -> Words:
    user, _, group = file.owner.partition(":")
    content: str | bytes = sources[file.path] if file.source else file.content or ""
    # A user of the profile's own is there only after most files have been written.
    later = {} if user == "root" else {"defer": True}
    return {
        "path": file.path,
        "content": content,
        "permissions": file.mode,
        "owner": f"{user}:{group or user}",
        **later,
    }


def _shell(user: str | None) -> list[str]:
    """Systems give a new user plain sh; people like what they know, where it is there."""
    if not user or user == "root":
        return []
    return [f"if [ -x /bin/bash ] && command -v usermod; then usermod -s /bin/bash {user}; fi"]


def _mounts(profile: Profile) -> list[str]:
    """Not by cloud-init's own `mounts`: it takes a share's tag for a disk that is not there."""
    shares = {share.tag: share for share in profile.shares}
    commands = []
    for mount in profile.provision.mounts:
        line = _table_line(shares[mount.share], mount.path)
        path = shlex.quote(mount.path)
        commands.append(
            f"mkdir -p {path}; printf '%s\\n' {shlex.quote(line)} >>/etc/fstab; mount {path}"
        )
    return commands


def _table_line(share: Share, path: str) -> str:
    """As fstab(5) has it; a guest boots also where the share is gone."""
    options = ["nofail", "rw" if share.writable else "ro"]
    if share.mode == "9p":
        options += ["trans=virtio", "version=9p2000.L", "msize=262144"]
    escaped = path.replace("\\", "\\134").replace(" ", "\\040")
    return f"{share.tag} {escaped} {share.mode} {','.join(options)} 0 0"


def _yaml(words: Words) -> str:
    text: str = yaml.safe_dump(words, sort_keys=False, allow_unicode=True, width=4096)
    return text
