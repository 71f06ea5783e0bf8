"""A bundle's edge is built by CMake, by PlatformIO and as a module of Zephyr, and run."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from hybrid.deploy.bundles.writing import Point, bundle_files
from tests.deploy.frozen import copy_of_digits

TOOLS = Path(sys.prefix) / "build-tools" / "bin"  # where scripts/check.py installs them
EQUAL = "plain: 16 images, every exit's logits and confidence, the bytes sent: equal"

slow = pytest.mark.slow
cmake = pytest.mark.skipif(
    not (shutil.which("cmake") and shutil.which("cc")), reason="needs cmake and a C compiler"
)
index_tools = pytest.mark.skipif(
    not (TOOLS / "pio").exists(), reason="needs PlatformIO; scripts/check.py installs it"
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C folder of a bundle; not to be changed."""
    folder = copy_of_digits(tmp_path_factory.mktemp("frozen"), forms=["deployed-4bit"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRID_PRETRAINED", str(folder))
        files = bundle_files("digits-vgg", 4, Point(thresholds=(0.9, 0.8)))
    for name, content in files.items():
        (folder / "bundle" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "bundle" / name).write_bytes(content)
    return folder / "bundle" / "c"


@pytest.fixture(autouse=True)
def quiet_platformio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No state of whoever runs the tests, and nothing reported."""
    monkeypatch.setenv("PLATFORMIO_CORE_DIR", str(tmp_path / "core"))
    monkeypatch.setenv("PLATFORMIO_SETTING_ENABLE_TELEMETRY", "no")


def call(*words: object) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def cmake_build(source: Path, build: Path) -> None:
    call("cmake", "-S", source, "-B", build, "-DCMAKE_BUILD_TYPE=Debug")  # compiled faster
    call("cmake", "--build", build)


def written(folder: Path, lines: Iterable[str]) -> Path:
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text("\n".join(lines))
    return folder


@slow
@cmake
def test_cmake_builds_the_bundle_and_its_test_passes(exported: Path, tmp_path: Path):
    cmake_build(exported, tmp_path)

    assert "100% tests passed" in call("ctest", "--test-dir", tmp_path)
    assert EQUAL in call(tmp_path / "hybrid_test")


@slow
@cmake
def test_a_project_links_the_cmake_target(exported: Path, tmp_path: Path):
    project = written(
        tmp_path / "project",
        [
            "cmake_minimum_required(VERSION 3.13)",
            "project(user C)",
            f"add_subdirectory({exported} edge)",
            f"add_executable(user {exported}/main.c)",
            "target_link_libraries(user PRIVATE hybrid_edge)",
        ],
    )

    cmake_build(project, tmp_path / "build")

    assert EQUAL in call(tmp_path / "build" / "user")


@slow
@cmake
def test_the_zephyr_module_builds_where_zephyrs_functions_are_stand_ins(
    exported: Path, tmp_path: Path
):
    # as Zephyr documents them: a library of the module's own, and includes for the application
    project = written(
        tmp_path / "project",
        [
            "cmake_minimum_required(VERSION 3.20)",
            "project(zephyr C)",
            "macro(zephyr_library_named name)",
            "  set(ZEPHYR_CURRENT_LIBRARY ${name})",
            "  add_library(${name} STATIC)",
            "endmacro()",
            "function(zephyr_library_sources)",
            "  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGV})",
            "endfunction()",
            "function(zephyr_library_compile_options)",
            "  list(REMOVE_ITEM ARGV -O2)",  # compiled faster
            "  target_compile_options(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGV})",
            "endfunction()",
            "add_library(zephyr_interface INTERFACE)",
            "function(zephyr_include_directories)",
            "  target_include_directories(zephyr_interface INTERFACE ${ARGV})",
            "endfunction()",
            "set(CONFIG_HYBRID_EDGE y)",
            f"add_subdirectory({exported}/zephyr module)",
            f"add_executable(application {exported}/main.c)",
            "target_link_libraries(application PRIVATE zephyr_interface hybrid_edge)",
        ],
    )

    cmake_build(project, tmp_path / "build")

    assert EQUAL in call(tmp_path / "build" / "application")


def test_zephyr_finds_the_files_that_the_module_names(exported: Path):
    lines = (exported / "zephyr" / "module.yml").read_text().splitlines()
    build = dict(line.strip().split(": ") for line in lines if line.startswith("  "))

    assert lines[:2] == ["name: hybrid_edge", "build:"]
    assert (exported / build["cmake"] / "CMakeLists.txt").is_file()  # a folder
    assert (exported / build["kconfig"]).is_file()


@index_tools
def test_kconfig_offers_the_switch_that_the_module_reads(exported: Path):
    script = (
        "import sys, kconfiglib; symbol = kconfiglib.Kconfig(sys.argv[1]).syms['HYBRID_EDGE'];"
        "symbol.set_value(2); print(kconfiglib.TYPE_TO_STR[symbol.type], symbol.config_string)"
    )

    said = call(TOOLS / "python", "-c", script, exported / "zephyr" / "Kconfig")

    assert said == "bool CONFIG_HYBRID_EDGE=y\n\n"
    assert "if(CONFIG_HYBRID_EDGE)" in (exported / "zephyr" / "CMakeLists.txt").read_text()


@index_tools
def test_platformio_packs_the_library(exported: Path, tmp_path: Path):
    said = call(TOOLS / "pio", "pkg", "pack", exported, "-o", tmp_path)

    assert "Wrote a tarball" in said


@slow
@index_tools
@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
def test_platformio_builds_a_program_with_the_library(exported: Path, tmp_path: Path):
    platform_of_this_machine(tmp_path / "core")
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    shutil.copy(exported / "main.c", project / "src")
    (project / "platformio.ini").write_text(
        f"[env:host]\nplatform = host\nlib_extra_dirs = {exported.parent}\n"
        "build_unflags = -O2\n"  # compiled faster
    )

    call(TOOLS / "pio", "run", "-d", project)

    assert EQUAL in call(project / ".pio" / "build" / "host" / "program")


def platform_of_this_machine(core: Path) -> None:
    """Fill PlatformIO's folder with SCons and a platform, which it would download otherwise."""
    asked = (
        "import SCons; from platformio.dependencies import get_core_dependencies as needed;"
        "print(SCons.__path__[0], needed()['tool-scons'].strip('~'))"
    )
    scons, version = call(TOOLS / "python", "-c", asked).split()
    package, platform = core / "packages" / "tool-scons", core / "platforms" / "host"
    shutil.copytree(scons, package / "SCons")
    (package / "scons.py").write_text("from SCons.Script import main\nmain()\n")
    spec = {"owner": "platformio", "id": 1, "name": "tool-scons", "requirements": None, "uri": None}
    about = {"name": "tool-scons", "version": version}
    (package / "package.json").write_text(json.dumps(about | {"description": "SCons"}))
    (package / ".piopm").write_text(json.dumps(about | {"type": "tool", "spec": spec}))
    (platform / "builder").mkdir(parents=True)
    (platform / "platform.json").write_text(
        '{"name": "host", "version": "1.0.0", "title": "Host", "description": "gcc"}'
    )
    (platform / "builder" / "main.py").write_text(
        "from SCons.Script import Default, DefaultEnvironment\n"
        "env = DefaultEnvironment()\n"
        'env.Replace(CC="gcc", AR="ar", RANLIB="ranlib", PROGSUFFIX="")\n'
        "Default(env.BuildProgram())\n"
    )
