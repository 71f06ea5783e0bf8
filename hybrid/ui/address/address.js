// Give the page that was just opened its whole address, in the entry of the browser's history that
// it already has. Streamlit can only add an entry, and one press of Back would then lead to the
// same page.

const listed = (query) => new URLSearchParams(query).toString();

// data.page: the last part of the page's path; data.given: the query it was opened with;
// data.complete: its whole query; data.query: the one it shows now. An address that changed in the
// meantime is left alone. Other scripts read in window.hybridAddress what the server last showed.
export default function ({ data }) {
  const { page, given, complete } = data;
  window.hybridAddress = data;
  const { pathname, search, hash } = window.location;
  if (pathname.endsWith(`/${page}`) && listed(search) === listed(given))
    window.history.replaceState({}, "", `?${complete}${hash}`);
}
