"""Who may name folders of the server, and stop or delete what other sessions record.

Every session may stop and delete what it recorded itself. For all else, the setting
HYBRID_LOCAL_FOLDERS decides (`hybrid dashboard --allow-folders`):

    yes      every visitor who opens the server by a name of this machine
    no       nobody
    unset    the same as yes, if the server listens on this machine only, and the request has come
             straight from a browser on it, without a sign of a proxy

In every case the name in the browser's address must be one of this machine or the one that the
server was told, so that another site's page cannot act for its visitor by DNS rebinding.
"""

import os
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

import streamlit as st

from hybrid.errors import SettingError

__all__ = [
    "FOLDERS",
    "NOT_YOURS",
    "SETTING",
    "allowed",
    "is_loopback",
    "is_loopback_name",
    "may_change",
    "may_name_folders",
    "note_own",
    "set_folders",
]

_OWN = "own recordings"
NOT_YOURS = "Another visitor recorded this; they or the server's own user can stop or delete it."
SETTING = "HYBRID_LOCAL_FOLDERS"
FOLDERS = ("yes", "no")
# Beginnings of headers that proxies add; browsers send none of them.
_PROXY = (
    "x-forwarded", "forwarded", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-original",
    "x-proxyuser", "x-envoy", "x-azure", "x-amzn", "x-appengine", "x-cloud-trace", "via", "cf-",
    "cdn-", "true-client-ip", "fastly-", "fly-", "remote-addr", "tailscale-", "proxy-",
    "x-request-id",
)  # fmt: skip


def may_name_folders() -> bool:
    """Whether this visitor may name folders of the server.

    Raises:
        SettingError: the setting has another value.
    """
    return allowed(
        os.environ.get(SETTING, ""),
        listens_on=st.get_option("server.address") or "",
        named=st.get_option("browser.serverAddress") or "",
        peer=st.context.ip_address,
        headers={name.lower(): value for name, value in st.context.headers.items()},
    )


def allowed(
    setting: str, *, listens_on: str, named: str, peer: str | None, headers: Mapping[str, str]
) -> bool:
    """The rule of this module.

    Args:
        setting: the value of HYBRID_LOCAL_FOLDERS, empty if it is not set.
        listens_on: the server's address, empty for all of this machine's.
        named: the name under which the server was told that browsers find it.
        peer: where the connection comes from; Streamlit gives None for this machine.
        headers: of the request, by their names in lower case.

    Raises:
        SettingError: no such setting.
    """
    if setting.lower() not in ("", *FOLDERS):
        raise SettingError(SETTING, setting, FOLDERS)
    hosts = {_host(f"//{headers.get('host', '')}"), *_origin(headers)}
    known = {listens_on.lower(), named.lower()} - {""}
    if setting.lower() == "no" or not all(
        is_loopback_name(host) or host in known for host in hosts
    ):
        return False
    if setting.lower() == "yes":
        return True
    proxied = any(name.startswith(_PROXY) for name in headers)
    return (
        is_loopback_name(listens_on)
        and is_loopback(peer)
        and not proxied
        and all(map(is_loopback_name, hosts))
    )


def note_own(*what: str) -> None:
    """Remember that this session made something, by words that name it."""
    st.session_state.setdefault(_OWN, set()).add(what)


def may_change(*what: str) -> bool:
    """Whether this visitor may stop or delete something: its own, or anything if it is local."""
    return what in st.session_state.get(_OWN, ()) or may_name_folders()


def set_folders(allow: bool | None) -> None:
    """Set the setting for a server of this process; None leaves it as it is."""
    if allow is not None:
        os.environ[SETTING] = FOLDERS[0] if allow else FOLDERS[1]


def is_loopback(address: str | None) -> bool:
    """Whether an address is this machine's own; Streamlit gives None for some of those.

    >>> is_loopback(None), is_loopback("::ffff:127.0.0.1"), is_loopback("192.168.1.7")
    (True, True, False)
    """
    try:
        parsed = ip_address(address or "127.0.0.1")
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return (mapped or parsed).is_loopback


def is_loopback_name(host: str) -> bool:
    """Whether a name or address always means this machine, whatever a name server says."""
    return host == "localhost" or bool(host and is_loopback(host))


def _origin(headers: Mapping[str, str]) -> set[str]:
    """The host of the page that asks; browsers send it with every connection of a page."""
    return {_host(headers["origin"])} if "origin" in headers else set()


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""
