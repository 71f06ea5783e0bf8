"""Who may name folders of the server, and stop or delete what other sessions record.

Every session may stop and delete what it recorded itself. For all else, the setting
HYBRID_LOCAL_FOLDERS decides (`hybrid dashboard --allow-folders`):

    yes      every visitor who opens the server by a name of this machine
    local    the same visitors, if they come straight from a browser on this machine
    no       nobody
    unset    the same as local, if the command that started the server named an address of this
             machine only, as `hybrid dashboard` does; otherwise nobody

A request alone allows nothing; its headers can only take away what the setting allows: the name in
the browser's address must be one of this machine or the one that the server was told, so that
another site's page cannot act for its visitor by DNS rebinding.
"""

import os
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

import streamlit as st
from streamlit import config

from hybrid.errors import SettingError

__all__ = [
    "FOLDERS",
    "HOW_TO_ALLOW",
    "NOT_YOURS",
    "SETTING",
    "allowed",
    "default",
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
FOLDERS = ("yes", "local", "no")
HOW_TO_ALLOW = (
    "To read a folder in place, start the server on your own machine with `hybrid dashboard`, or "
    f"with {SETTING}=local."
)
_BY_COMMAND = "command-line argument or environment variable"  # in Streamlit's words
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
    listens_on = st.get_option("server.address") or ""
    return allowed(
        os.environ.get(SETTING) or default(listens_on, config.get_where_defined("server.address")),
        listens_on=listens_on,
        named=st.get_option("browser.serverAddress") or "",
        peer=st.context.ip_address,
        headers={name.lower(): value for name, value in st.context.headers.items()},
    )


def default(listens_on: str, defined_by: str) -> str:
    """The setting where none is made: what the command that started the server decided.

    Args:
        listens_on: the server's address, empty for all of this machine's.
        defined_by: where the address is from; one that only a configuration file names, as that of
            a clone does, is no decision of whoever started the server.
    """
    chosen = defined_by == _BY_COMMAND and is_loopback_name(listens_on)
    return "local" if chosen else "no"


def allowed(
    setting: str, *, listens_on: str, named: str, peer: str | None, headers: Mapping[str, str]
) -> bool:
    """The rule of this module.

    Args:
        setting: one of FOLDERS, in any case.
        listens_on: the server's address, empty for all of this machine's.
        named: the name under which the server was told that browsers find it.
        peer: where the connection comes from; Streamlit gives None for this machine.
        headers: of the request, by their names in lower case.

    Raises:
        SettingError: no such setting.
    """
    if setting.lower() not in FOLDERS:
        raise SettingError(SETTING, setting, FOLDERS)
    hosts = {_host(f"//{headers.get('host', '')}"), *_origin(headers)}
    if setting.lower() == "yes":
        known = {listens_on.lower(), named.lower()} - {""}
        return all(is_loopback_name(host) or host in known for host in hosts)
    return (
        setting.lower() == "local"
        and is_loopback(peer)
        and not any(name.startswith(_PROXY) for name in headers)
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
        os.environ[SETTING] = "yes" if allow else "no"


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
