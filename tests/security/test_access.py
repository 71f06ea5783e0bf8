"""Who may name folders of the server: a setting, a name of this machine, and no sign of a proxy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.errors import SettingError
from hybrid.ui.server import access

HERE = {"host": "127.0.0.1:8501", "origin": "http://127.0.0.1:8501"}


def allowed(
    setting: str = "",
    *,
    listens_on: str = "localhost",
    named: str = "localhost",
    peer: str | None = None,
    **headers: str,
) -> bool:
    given_headers = HERE | {name.replace("_", "-"): value for name, value in headers.items()}
    return access.allowed(
        setting, listens_on=listens_on, named=named, peer=peer, headers=given_headers
    )


@pytest.mark.parametrize("host", ["localhost:8501", "127.0.0.1", "[::1]:8501", "LOCALHOST."])
def test_a_browser_on_the_server_s_machine_may_name_folders(host: str) -> None:
    assert allowed(host=host, origin=f"http://{host}")


@pytest.mark.parametrize(
    "header",
    [
        "x_forwarded_for", "x_forwarded_proto", "x_real_ip", "forwarded", "cf_connecting_ip",
        "true_client_ip", "via", "x_client_ip", "fly_client_ip",
    ],
)  # fmt: skip
def test_whoever_comes_through_a_proxy_may_not(header: str) -> None:
    assert not allowed(**{header: "203.0.113.7"})


def test_a_page_of_another_host_may_not_whatever_the_setting() -> None:
    """A name that was rebound to 127.0.0.1 arrives with that name as host and origin."""
    for setting in ("", "yes", "no"):
        assert not allowed(setting, host="evil.example:8501", origin="http://evil.example:8501")
        assert not allowed(setting, origin="http://evil.example")
        assert not allowed(setting, host="localhost.evil.example")
        assert not allowed(setting, host="")


@given(
    st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789.-:[]@/", max_size=30),
    st.sampled_from(["", "yes", "no"]),
)
def test_no_other_name_is_taken_for_this_machine(host: str, setting: str) -> None:
    name = host.rpartition("@")[2].split(":")[0].split("/")[0].rstrip(".")
    here = name in {"localhost", "localhost."} or name.startswith("127.") or "[" in host

    assert here or not allowed(setting, host=host, origin=f"http://{host}")


def test_a_server_that_other_machines_reach_needs_the_setting() -> None:
    for listens_on in ("", "0.0.0.0", "192.168.1.7"):
        assert not allowed(listens_on=listens_on)
        assert allowed("yes", listens_on=listens_on)


def test_a_silent_proxy_is_shut_out_by_the_setting() -> None:
    """It sends its own address as host and no header of its own: nothing else could tell it."""
    assert not allowed("no")


def test_with_the_setting_a_visitor_by_the_server_s_own_name_may() -> None:
    host = {"host": "lab.example:8501", "origin": "http://lab.example:8501"}

    assert allowed("yes", named="lab.example", peer="192.168.1.9", **host)
    assert not allowed("", named="lab.example", **host)


def test_a_setting_that_there_is_not_is_refused() -> None:
    with pytest.raises(SettingError, match="HYBRID_LOCAL_FOLDERS is 'maybe'; set it to yes or no"):
        allowed("maybe")
