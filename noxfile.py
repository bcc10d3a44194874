# SPDX-License-Identifier: MIT
"""The named verbs of this project; `nox -l` lists them, `nox -s VERB -- ARGUMENTS` runs one."""

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "uv|venv"  # uv takes 2 s where pip takes 15 s
nox.options.download_python = "never"  # nox reports a missing interpreter as skipped
nox.options.error_on_external_run = True
nox.options.sessions = ["tests", "lint", "types"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
CORE = Path("tests/core.txt").read_text().split()  # tox.ini reads the same list
LOCKING = ["tests/linelog", "tests/test_ulid.py", "tests/test_lock.py", "tests/test_appender.py"]
# Half of the tests' time is waiting for processes, so there are twice as many workers as cores.
IN_PARALLEL = ["-n", str(2 * (os.cpu_count() or 1)), "--dist", "worksteal"]
NONE_MISSING = {"OMNELOG_TOOLS": "1"}
CONSTRAINTS = Path("constraints.txt")
TO_END_S = 30.0  # after Ctrl-C, to end processes and remove files; the default of nox is 0.3 s
BRIEF = {"HYPOTHESIS_PROFILE": "brief"}  # for code that other tests try at length


def pytest(session: nox.Session, *arguments: str, **environment: str) -> None:
    """Run pytest, and keep bytecode in nox's cache even if PYTHONDONTWRITEBYTECODE is set.

    Tests start hundreds of interpreters, and each would otherwise compile omnelog again.
    """
    bytecode = {
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(session.cache_dir.resolve() / "bytecode"),
    }
    session.run("pytest", *arguments, env=bytecode | environment)


def install(session: nox.Session, *groups: str) -> None:
    """Install this checkout of omnelog, and the dependency groups in pinned versions."""
    requirements = nox.project.dependency_groups(PYPROJECT, *groups)
    session.install("-c", str(CONSTRAINTS), "-e", ".", *requirements)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests on every core."""
    install(session, "tests")
    pytest(session, *IN_PARALLEL, *session.posargs)


@nox.session(python=["3.11", "3.12", "3.13", "3.14", "3.14t"])
def core(session: nox.Session) -> None:
    """Run the core's tests on each interpreter; run those that lock on the oldest filelock too."""
    install(session, "tests")
    pytest(session, *IN_PARALLEL, *CORE, *session.posargs)
    [filelock] = PYPROJECT["project"]["dependencies"]
    session.install(filelock.replace(">=", "=="))
    pytest(session, *IN_PARALLEL, *LOCKING, *session.posargs, **BRIEF)


@nox.session
def stress(session: nox.Session) -> None:
    """Let many processes append at once and prove every line intact (-- --quick, -- --peers)."""
    install(session, "stress", *(["peers"] if "--peers" in session.posargs else []))
    session.run("python", "-m", "stress", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Test every fault at length, with 2,000 kills, then every mutant (about half an hour)."""
    install(session, "tests")
    session.run("python", "-m", "tests.faults", *session.posargs, interrupt_timeout=TO_END_S)


@nox.session
def schedules(session: nox.Session) -> None:
    """Run the core in every order of system calls (half an hour; -- --schedule LINE for one)."""
    install(session, "tests")
    session.run("python", "-m", "tests.schedules", *session.posargs)


@nox.session
def properties(session: nox.Session) -> None:
    """Try each property on 2,000 examples instead of 50 (about half an hour)."""
    install(session, "tests")
    thorough = {"HYPOTHESIS_PROFILE": "thorough"}
    pytest(session, *IN_PARALLEL, "-m", "hypothesis", *session.posargs, **thorough)


@nox.session
def mutants(session: nox.Session) -> None:
    """Break the core on purpose and see that the tests notice."""
    install(session, "tests")
    session.run("python", "-m", "tests.mutation", *session.posargs, interrupt_timeout=TO_END_S)


@nox.session
def tools(session: nox.Session) -> None:
    """Test recipes, types and packages with the real jq, DuckDB, Dask, pyright and pip.

    The tests fail if one of these programs is missing.
    """
    install(session, "tests", "tools")
    others = [*IN_PARALLEL, "tests/tools", "-k", "not pyspark"]
    pytest(session, *others, *session.posargs, **NONE_MISSING)
    session.run("python", "-m", "tests.tools.sizes")


@nox.session
def spark(session: nox.Session) -> None:
    """Try the recipe for Spark, which needs Java and takes 500 MB."""
    install(session, "tests", "spark")
    pytest(session, "tests/tools/test_queries.py", "-k", "pyspark", **NONE_MISSING)


@nox.session
def vendoring(session: nox.Session) -> None:
    """Vendor omnelog as docs/vendoring.md says, and test the copies without omnelog itself."""
    requirements = nox.project.dependency_groups(PYPROJECT, "tests", "vendoring")
    session.install("-c", str(CONSTRAINTS), *requirements)
    files = session.posargs or CORE
    session.run("python", "tests/vendoring.py", *IN_PARALLEL, *files, env=BRIEF)


@nox.session
def mutation(session: nox.Session) -> None:
    """Make every small change to the core, or to MODULE; list those that pass all tests (hours)."""
    install(session, "tests", "mutation")
    session.run(
        "python", "-m", "tests.mutation.every_change", *session.posargs, interrupt_timeout=TO_END_S
    )


KIT = ["python", "-m", "conformance"]
ADAPTER = ["python", "conformance/adapters/omnelog_adapter.py"]
PERL = ["perl", "conformance/adapters/perl/adapter.pl"]


@nox.session
def conformance(session: nox.Session) -> None:
    """Run the vectors of SPEC.md on omnelog, on the Perl implementation, and on both together."""
    install(session)
    kit = [*KIT, "--jobs", "4"]  # the checks mostly wait
    session.run(*kit, *session.posargs, "--", *ADAPTER)
    if shutil.which("perl") is None:
        session.skip("There is no perl here, so the second implementation was NOT checked.")
    session.run(*kit, *session.posargs, "--", *PERL)
    session.run(*kit, "--against", shlex.join(PERL), "--", *ADAPTER)


@nox.session
def system(session: nox.Session) -> None:
    """Fail, kill and stop both implementations at each system call (-- --sample N for fewer)."""
    install(session)
    if shutil.which("strace") is None:
        session.skip("There is no strace here, so NOTHING was checked.")
    kit = [*KIT, "--system"]
    session.run(*kit, *session.posargs, "--", *ADAPTER)
    if shutil.which("perl") is None:
        session.skip("There is no perl here, so the second implementation was NOT checked.")
    session.run(*kit, *session.posargs, "--", *PERL)
    session.run(*kit, *session.posargs, "--against", shlex.join(PERL), "--", *ADAPTER)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the speed of omnelog beside alternatives (-- --quick, --only, --json)."""
    install(session, "bench")
    session.run("python", "-m", "stress.bench", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format with ruff."""
    install(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy, strictly."""
    install(session, "types")
    session.run("mypy")


@nox.session(python="3.11")
def constraints(session: nox.Session) -> None:
    """Pin all tools in constraints.txt, in the newest versions that the oldest Python can use."""
    groups = [name for name in PYPROJECT["dependency-groups"] if name != "spark"]
    requirements = nox.project.dependency_groups(PYPROJECT, *groups)
    session.install("-c", str(CONSTRAINTS), "pip")
    report = Path(session.create_tmp()) / "report.json"
    resolve = ["pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    session.run(*resolve, "--report", str(report), *requirements)
    found = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    pins = {re.sub("[-_.]+", "-", item["name"]).lower(): item["version"] for item in found}
    del pins["filelock"]  # the core is tested with the newest one and with the oldest one
    lines = [f"{name}=={version}" for name, version in sorted(pins.items())]
    CONSTRAINTS.write_text("\n".join(["# Written by `nox -s constraints`.", *lines, ""]))
    hooks = Path(".pre-commit-config.yaml")
    hooks.write_text(re.sub("ruff==[0-9.]+", f"ruff=={pins['ruff']}", hooks.read_text()))
