"""Who may name folders of the server: a setting decides, and a request can only take away."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit import config

from hybrid.errors import SettingError
from hybrid.ui.server import access

COMMAND = "command-line argument or environment variable"
HERE = {"host": "127.0.0.1:8501", "origin": "http://127.0.0.1:8501"}


def allowed(
    setting: str = "local",
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
    for setting in access.FOLDERS:
        assert not allowed(setting, host="evil.example:8501", origin="http://evil.example:8501")
        assert not allowed(setting, origin="http://evil.example")
        assert not allowed(setting, host="localhost.evil.example")
        assert not allowed(setting, host="")


@given(
    st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789.-:[]@/", max_size=30),
    st.sampled_from(access.FOLDERS),
)
def test_no_other_name_is_taken_for_this_machine(host: str, setting: str) -> None:
    name = host.rpartition("@")[2].split(":")[0].split("/")[0].rstrip(".")
    here = name in {"localhost", "localhost."} or name.startswith("127.") or "[" in host

    assert here or not allowed(setting, host=host, origin=f"http://{host}")


def test_with_local_a_visitor_from_elsewhere_may_not() -> None:
    assert not allowed(peer="192.168.1.9")
    assert allowed("yes", peer="192.168.1.9")


@given(st.dictionaries(st.sampled_from(["host", "origin", "via", "x_real_ip"]), st.text()))
def test_no_request_allows_what_the_setting_does_not(headers: dict[str, str]) -> None:
    assert not allowed("no", **headers)


@pytest.mark.parametrize(
    "address, by, setting",
    [
        ("127.0.0.1", COMMAND, "local"),
        ("localhost", COMMAND, "local"),
        ("::1", COMMAND, "local"),
        ("0.0.0.0", COMMAND, "no"),
        ("192.168.1.7", COMMAND, "no"),
        ("", COMMAND, "no"),
        ("localhost", "/home/me/hybrid/.streamlit/config.toml", "no"),
        ("", "<default>", "no"),
    ],
)
def test_without_a_setting_the_command_that_started_the_server_decides(
    address: str, by: str, setting: str
) -> None:
    assert access.default(address, by) == setting


def test_streamlit_calls_an_option_of_the_command_by_the_words_that_are_compared() -> None:
    assert vars(config)["_DEFINED_BY_FLAG"] == COMMAND


def test_with_the_setting_a_visitor_by_the_server_s_own_name_may() -> None:
    host = {"host": "lab.example:8501", "origin": "http://lab.example:8501"}

    assert allowed("yes", named="lab.example", peer="192.168.1.9", **host)
    assert not allowed("local", named="lab.example", **host)


def test_a_setting_that_there_is_not_is_refused() -> None:
    with pytest.raises(
        SettingError, match="HYBRID_LOCAL_FOLDERS is 'maybe'; set it to one of yes, local, no"
    ):
        allowed("maybe")
