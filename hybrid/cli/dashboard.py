"""The command `dashboard`: the app that `streamlit run app.py` opens, from any folder."""

from typing import Annotated

import typer

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Make this command part of the command line."""
    app.command(epilog="Example: hybrid dashboard --port 8600")(dashboard)


def dashboard(
    *,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port to listen on. Default: the first free one from 8501."
        ),
    ] = None,
    address: Annotated[
        str,
        typer.Option(help="Address to listen on; 0.0.0.0 lets other machines connect."),
    ] = "127.0.0.1",
) -> None:
    """Open the dashboard in the browser; Ctrl-C stops it.

    No browser is opened on a machine without a display, or where
    STREAMLIT_SERVER_HEADLESS is true.
    """
    from hybrid.ui import serve

    port = serve.free_port(address, port)
    typer.echo(f"The dashboard is at {serve.url(address, port)}; Ctrl-C stops it.", err=True)
    serve.serve(address, port)
