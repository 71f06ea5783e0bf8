"""The address of the page shown, and the entries it makes in the browser's history.

One rule: one change of what a page shows is one entry, so one press of Back undoes it, and from a
page just opened it leads to the page before. This takes three things:

    returned()        after Back or Forward: the query of that entry. The page must show it.
    open_(page)       at the start of a whole run: begin a page's address
    show(query)       the whole query of what is shown, once per run. A page just opened already
                      has an entry, which is completed in place; later, a new query is a new entry.

Nothing else may write `st.query_params`, and no widget is bound to the address: a bound widget
replaces the entry, and its earlier value would be lost.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

__all__ = ["KEY", "Entry", "change", "open_", "query_of", "returned", "show", "shown"]

KEY = "address"  # of the component; AppTest reads the completed address from it
_STATE = "address_entry"

# 1.67: nothing but this component can replace an entry.
_COMPONENT = st.components.v2.component(
    "hybrid_address", js=(Path(__file__).parent / "address.js").read_text(encoding="utf-8")
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The entry of the history with which a page was opened, and the query shown since.

    page: last part of the page's path, empty for the first page. given: the query it was opened
    with. complete: the whole query that took its place. query: the one shown now. The last two are
    empty until they are known.
    """

    page: str
    given: str
    complete: str = ""
    query: str = ""

    def at(self, query: str) -> "Entry":
        """The entry after the page shows this query.

        >>> opened = Entry(page="networks", given="").at("bits=4")
        >>> opened.at("bits=2") == replace(opened, query="bits=2")
        True
        """
        return replace(self, complete=self.complete or query, query=query)

    def adds(self, query: str) -> bool:
        """Whether showing this query adds an entry to the history.

        >>> opened = Entry(page="networks", given="")
        >>> opened.adds("bits=4"), opened.at("bits=4").adds("bits=4")
        (False, False)
        >>> opened.at("bits=4").adds("bits=2")
        True
        """
        return bool(self.query) and self.query != query


def returned() -> dict[str, str] | None:
    """The query of the entry that Back or Forward led to; None if something else began this run."""
    context = get_script_run_ctx()
    if context is None or not context.is_history_navigation:
        return None
    return query_of(context.query_string)


def open_(page: str, *, again: bool) -> None:
    """Begin the address of a page, unless it is the page shown already.

    Args:
        page: last part of the page's path, empty for the first page.
        again: also if it is shown already: Back or Forward led to another entry of it.
    """
    now: Entry | None = st.session_state.get(_STATE)
    if now is None or now.page != page or again:
        context = get_script_run_ctx()
        given = context.query_string if context else ""
        st.session_state[_STATE] = Entry(page=page, given=given)


def show(query: Mapping[str, str]) -> None:
    """Make this the address of the page; call it once in each whole run."""
    change(query)
    with st.sidebar:  # at its end, where an element without height leaves no gap
        _COMPONENT(key=KEY, data=asdict(_entry()))


def change(query: Mapping[str, str]) -> None:
    """Make this the address after a change; alone only where no whole run follows."""
    entry = _entry()
    text = urlencode(_embedding(entry.given) | dict(query))
    if entry.adds(text):
        st.query_params.from_dict(query)
    st.session_state[_STATE] = entry.at(text)


def shown() -> dict[str, str]:
    """The address as it was last shown."""
    return query_of(_entry().query)


def query_of(text: str) -> dict[str, str]:
    """The query of an address, from its text; the last one counts of a name given twice.

    >>> query_of("bits=4&split=&bits=2")
    {'bits': '2', 'split': ''}
    """
    return dict(parse_qsl(text, keep_blank_values=True))


def _embedding(given: str) -> dict[str, str]:
    """Streamlit's own part, of a page inside another: it is kept, and comes first."""
    return {key: text for key, text in query_of(given).items() if key.lower().startswith("embed")}


def _entry() -> Entry:
    entry: Entry = st.session_state[_STATE]
    return entry
