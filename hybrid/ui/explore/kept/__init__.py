"""Points that are kept on Explore: named, listed, compared, carried in the link, exported."""
