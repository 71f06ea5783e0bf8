"""The `hybrid` command: words in, calls to the library, tables or JSON out."""
