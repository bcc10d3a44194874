# SPDX-License-Identifier: MIT
"""The wheel and the sdist are the same in every build, hold what they should, and work.

mypy and pyright find the types of an installed omnelog.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path
from types import ModuleType

import pytest

from ..documents import PROJECT, blocks
from .conftest import CACHES

CONSUMERS = [Path(__file__).with_name(name) for name in ("consumer.py", "records_consumer.py")]


def run(*command: str | Path, cwd: Path | None = None, **variables: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two directories with an sdist and a wheel, from checkouts with different modes and times."""
    found = []
    for number, umask in enumerate([0o022, 0o077]):
        checkout = tmp_path_factory.mktemp("checkout") / "omnelog"
        before = os.umask(umask)
        try:
            shutil.copytree(PROJECT, checkout, ignore=CACHES, copy_function=shutil.copyfile)
        finally:
            os.umask(before)
        for path in checkout.rglob("*"):
            os.utime(path, (1e9 + number, 1e9 + number))
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", "built"]
        run(*command, cwd=checkout, SOURCE_DATE_EPOCH="1767225600")
        found.append(checkout / "built")
    return found


@pytest.fixture
def built(module: Callable[[str], ModuleType], request: pytest.FixtureRequest) -> list[Path]:
    module("build")
    module("flit_core")
    builds: list[Path] = request.getfixturevalue("builds")
    return builds


def wheel_of(build: Path) -> Path:
    [wheel] = build.glob("*.whl")
    return wheel


def sdist_of(build: Path) -> Path:
    [sdist] = build.glob("*.tar.gz")
    return sdist


def test_two_builds_give_the_same_bytes(built: list[Path]) -> None:
    one, other = built
    assert wheel_of(one).read_bytes() == wheel_of(other).read_bytes()
    assert sdist_of(one).read_bytes() == sdist_of(other).read_bytes()


def test_the_wheel_holds_the_package_and_nothing_else(built: list[Path]) -> None:
    names = zipfile.ZipFile(wheel_of(built[0])).namelist()
    package = {name for name in names if not re.match(r"omnelog-[0-9.]+\.dist-info/", name)}
    modules = {str(path.relative_to(PROJECT)) for path in (PROJECT / "omnelog").rglob("*.py")}
    assert package == modules | {"omnelog/py.typed"}


def test_the_sdist_holds_what_its_own_tests_need(built: list[Path]) -> None:
    with tarfile.open(sdist_of(built[0])) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    if not (PROJECT / ".git").exists():
        pytest.skip("not a checkout, so git does not know the files")
    tracked = run("git", "ls-files", "-z", cwd=PROJECT).split("\0")
    assert names - {"PKG-INFO"} == {name for name in tracked if name}


FROM_THE_SDIST = [
    *("test_ci", "test_contributing", "test_documents", "test_house", "test_spec", "test_versions"),
    *("test_events", "test_examples", "test_vendoring", "conformance/test_vectors"),
]
"""The tests that read files outside the package."""


def test_tests_pass_from_the_unpacked_sdist(built: list[Path], tmp_path: Path) -> None:
    with tarfile.open(sdist_of(built[0])) as archive:
        archive.extractall(tmp_path, filter="data")
    [unpacked] = tmp_path.iterdir()
    options = ["-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'tmp'}"]
    tests = [f"tests/{name}.py" for name in FROM_THE_SDIST]
    path = {"PYTHONPATH": str(unpacked), "HYPOTHESIS_PROFILE": "brief"}
    run(sys.executable, "-m", "pytest", *options, *tests, cwd=unpacked, **path)


def test_the_metadata_says_what_it_is(built: list[Path]) -> None:
    wheel = zipfile.ZipFile(wheel_of(built[0]))
    [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = message_from_bytes(wheel.read(name))
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra" not in line]
    assert required == ["filelock>=3.30"]
    assert "testing" in metadata.get_all("Provides-Extra", [])
    classifiers = metadata.get_all("Classifier", [])
    assert "Typing :: Typed" in classifiers
    assert "Operating System :: POSIX :: Linux" in classifiers
    assert metadata.get_payload().startswith("# omnelog\n")  # type: ignore[union-attr]


def new_environment(directory: Path, *packages: str | Path) -> Path:
    """Make an environment with these packages only; return its python."""
    run(sys.executable, "-m", "venv", "--without-pip", directory)
    python = directory / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", *packages)
    return python


@pytest.mark.parametrize("archive", [wheel_of, sdist_of])
def test_what_is_installed_from_it_works(
    archive: Callable[[Path], Path], built: list[Path], tmp_path: Path
) -> None:
    python = new_environment(tmp_path / "environment", archive(built[0]))
    for snippet, printed in zip(blocks("README.md", "python"), ["ada hello\n", ""], strict=True):
        assert run(python, "-I", "-c", snippet, cwd=tmp_path).startswith(printed)
    runs = run(python.with_name("omnelog"), "runs", cwd=tmp_path)
    assert re.search("^ci-.* completed ", runs, re.MULTILINE)
    installed = run(python, "-I", "-c", "import omnelog; print(omnelog.__file__)", cwd=tmp_path)
    assert Path(installed.strip()).is_relative_to(tmp_path)


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_consumer_has_types(
    checker: str, built: list[Path], module: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    module(checker)
    python = new_environment(tmp_path / "environment", wheel_of(built[0]))
    for consumer in CONSUMERS:
        shutil.copy(consumer, tmp_path)
    if checker == "mypy":
        options = ["--strict", "--python-executable", str(python)]
    else:
        (tmp_path / "pyrightconfig.json").write_text(
            '{"typeCheckingMode": "strict", "reportUnnecessaryTypeIgnoreComment": "error"}'
        )
        options = ["--pythonpath", str(python)]
    command = [sys.executable, "-m", checker, *options, *(path.name for path in CONSUMERS)]
    run(*command, cwd=tmp_path)


def test_every_public_name_has_a_type(
    built: list[Path], module: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    """Every module is checked, with all extras. pyright uses the first python on the PATH."""
    module("pyright")
    with_extras = f"{wheel_of(built[0])}[cli,testing]"
    python = new_environment(tmp_path / "environment", with_extras)
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-m", "pyright", "--verifytypes", "omnelog", "--ignoreexternal"]
    report = run(*command, cwd=tmp_path, PATH=path)
    assert "Type completeness score: 100%" in report, report


def test_pyright_finds_nothing_in_the_package(module: Callable[[str], ModuleType]) -> None:
    module("pyright")
    for name in ("duckdb", "distributed"):
        module(name)
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    run(*command, "omnelog", "examples", cwd=PROJECT)
