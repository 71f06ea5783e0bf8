"""Certificates of any validity, made by openssl."""

import shutil
import subprocess
from pathlib import Path

import pytest

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl here")

CONFIG = """
[ca]
default_ca = own
[own]
dir = .
new_certs_dir = .
database = index.txt
serial = serial
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


def certificate(folder: Path, name: str, *, begin: str, end: str) -> None:
    """A key and a certificate that signs itself, cert.pem and key.pem."""
    (folder / "ca.conf").write_text(CONFIG)
    (folder / "index.txt").write_text("")
    (folder / "serial").write_text("01")
    made = f"-keyout key.pem -out request.pem -subj /CN={name} -addext subjectAltName=DNS:{name}"
    signed = f"-in request.pem -out cert.pem -notext -startdate {begin} -enddate {end}"
    for words in (
        f"req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes {made}",
        f"ca -batch -config ca.conf -selfsign -keyfile key.pem {signed}",
    ):
        subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)
