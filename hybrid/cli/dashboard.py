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
        typer.Option(
            help="Address to listen on; 0.0.0.0 lets other machines connect. There is no password: "
            "see docs/security.md."
        ),
    ] = "127.0.0.1",
    host: Annotated[
        list[str] | None,
        typer.Option(
            help="Name by which browsers open it, for instance through a proxy; repeat for more. "
            "By default only this machine's, or any if --address lets other machines connect."
        ),
    ] = None,
    allow_folders: Annotated[
        bool | None,
        typer.Option(
            help="Whether visitors may name folders of this machine. Default: only those on it "
            "who come without a proxy, and no one if --address lets other machines connect. Sets "
            "HYBRID_LOCAL_FOLDERS.",
        ),
    ] = None,
) -> None:
    """Open the dashboard in the browser; Ctrl-C stops it.

    No browser is opened on a machine without a display, or where
    STREAMLIT_SERVER_HEADLESS is true.
    """
    from hybrid.ui.server import access, serve

    access.set_folders(allow_folders)
    port = serve.free_port(address, port)
    typer.echo(f"The dashboard is at {serve.url(address, port)}; Ctrl-C stops it.", err=True)
    if not access.is_loopback_name(address):
        typer.echo(
            "Other machines can open it without a password; put it behind a proxy that asks for "
            "one.",
            err=True,
        )
    serve.serve(address, port, hosts=host or ())
