# SPDX-License-Identifier: MIT
"""`nox -s vendoring`: vendors omnelog into hosts, and runs its own tests on the copies.

Five hosts are made in a temporary directory, by the commands and the configuration that
docs/vendoring.md shows. Two have layer 1 alone, copied by hand. One of them has filelock installed,
the other has the two functions that replace filelock. Three have the whole of omnelog: copied by
hand with filelock installed, copied by hand together with filelock, and fetched by the `vendoring`
tool together with filelock.

A host cannot import omnelog by its own name. It can import filelock only if filelock is installed
for it. So only the copy can be tested. The tests are those of layer 1 and of the core. Only the
lines of ``tests/__init__.py`` and ``tests/linelog/__init__.py`` that import the package change.

Before that, hosts with copies are built as wheels, installed and run: see ``vendored_wheels.py``.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

PROJECT = Path(__file__).parents[1]
DOCUMENT = "docs/vendoring.md"
LAYER_1 = "tests/linelog"
HOUSE = ["tests/test_house.py", "tests/test_vendoring.py"]  # these need filelock by its own name


def main(arguments: list[str]) -> int:
    """Run pytest in each host with `arguments`; return 0, or 1 if any test failed.

    `arguments` are options and the tests of the core. In a host of layer 1, only its tests run.
    """
    text = (PROJECT / DOCUMENT).read_text()
    layer_1_by_hand, by_hand, filelock_too = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    [without_filelock] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    layer_1_tests = [*(word for word in arguments if not word.startswith("tests/")), LAYER_1]
    *_, configuration = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    [pins] = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    with TemporaryDirectory(prefix="omnelog-vendoring-") as name:
        work = Path(name)
        site = work / "site"
        run(work, "pip", "install", "-q", "--no-deps", "-t", site, "filelock>=3.30")
        run(work, "pip", "wheel", "-q", "--no-deps", "-w", work, PROJECT)
        [wheel] = work.glob("*.whl")
        passed = [wheels_of_hosts_run(site)]

        layer_1 = new_host(work / "layer-1")
        run(layer_1, "sh", "-ec", layer_1_by_hand)
        updated(layer_1, layer_1_by_hand)
        passed.append(tested(layer_1, layer_1_tests, site))

        alone = new_host(work / "layer-1-without-filelock")
        run(alone, "sh", "-ec", layer_1_by_hand)
        replace_lock(alone / "host" / "_vendor" / "linelog" / "lock.py", without_filelock)
        passed.append(tested(alone, layer_1_tests, None))

        copied = new_host(work / "copied")
        run(copied, "sh", "-ec", by_hand)
        updated(copied, by_hand)
        restore_what_tests_need(copied)
        passed.append(tested(copied, [*arguments, *HOUSE], site))

        both = new_host(work / "copied-with-filelock")
        run(both, "sh", "-ec", by_hand + filelock_too, PYTHONPATH=site)
        updated(both, by_hand + filelock_too, PYTHONPATH=site)
        restore_what_tests_need(both)
        passed.append(tested(both, arguments, None))

        fetched = new_host(work / "fetched-by-the-tool")
        version = wheel.name.split("-")[1]
        (fetched / "pyproject.toml").write_text(configuration)
        vendor = fetched / "host" / "_vendor"
        vendor.mkdir(parents=True)
        for package in (vendor.parent, vendor):
            (package / "__init__.py").touch()
        assert f"omnelog=={version}\n" in pins, f"{DOCUMENT} does not pin {version}"
        pins = pins.replace(f"omnelog=={version}", f"omnelog @ {wheel.as_uri()}")
        (vendor / "vendor.txt").write_text(pins)
        run(fetched, "vendoring", "sync", TMPDIR=work)
        restore_what_tests_need(fetched)
        passed.append(tested(fetched, arguments, None))
    return 0 if all(passed) else 1


def wheels_of_hosts_run(site: Path) -> bool:
    """Build, install and run hosts, with the packages in `site`; return whether all worked."""
    command = [sys.executable, "-m", "pytest", "tests/vendored_wheels.py"]
    variables = os.environ | {"PYTHONPATH": str(site)}
    return subprocess.run(command, cwd=PROJECT, env=variables).returncode == 0


def new_host(host: Path) -> Path:
    """A directory with a checkout of omnelog at the place where the commands look for it."""
    host.mkdir()
    (host / "omnelog").symlink_to(PROJECT)
    return host


def updated(host: Path, script: str, **environment: Path) -> None:
    """Check that a second copy by hand leaves no old file, and that copies have licences."""
    vendor = host / "host" / "_vendor"
    copies = sorted(path.parent for path in vendor.glob("*/__init__.py"))
    for copy in copies:
        (copy / "stale.py").touch()
    before = sorted(vendor.rglob("*.py"))
    run(host, "sh", "-ec", script, **environment)
    stale = [copy / "stale.py" for copy in copies]
    assert copies
    assert sorted([*vendor.rglob("*.py"), *stale]) == before
    for copy in copies:
        assert (copy / "LICENSE").read_text().strip(), f"no licence in {copy}"


def restore_what_tests_need(host: Path) -> None:
    """Check that a copy has neither the command nor `testing`, and give it `testing`."""
    copy = host / "host" / "_vendor" / "omnelog"
    for left_out in ("cli", "__main__.py", "testing"):
        assert not (copy / left_out).exists(), left_out
    shutil.copytree(PROJECT / "omnelog" / "testing", copy / "testing")


def replace_lock(module: Path, functions: str) -> None:
    """Remove filelock from lock.py, as the document says."""
    text = module.read_text()
    import_line, *others = re.findall(r"^from filelock import .*\n", text, re.MULTILINE)
    unlock, *more = re.findall(r"^unlock = .*\n", text, re.MULTILINE)
    try_lock, *rest = re.findall(r"^def try_lock\(.*\n(?: +.*\n|\n(?= ))+", text, re.MULTILINE)
    assert not others + more + rest, f"lock.py is not as {DOCUMENT} says"
    for old, new in ((import_line, ""), (unlock, ""), (try_lock, functions)):
        text = text.replace(old, new)
    assert "lock_descriptor" not in text
    module.write_text(text)


def run(directory: Path, *command: str | Path, **environment: Path) -> None:
    """Run a command that must succeed."""
    print("+", *command, flush=True)
    variables = os.environ | {name: str(value) for name, value in environment.items()}
    subprocess.run(list(map(str, command)), cwd=directory, env=variables, check=True)


def replace_import(tests: Path, line: str, vendored: str) -> None:
    """Make the tests in a folder import the copy."""
    seam = tests / "__init__.py"
    text = seam.read_text()
    assert f"\n{line}\n" in text
    seam.write_text(text.replace(f"\n{line}\n", f"\n{vendored}\n"))


def tested(host: Path, arguments: list[str], site: Path | None) -> bool:
    """Run tests on the host's copy, with the packages in `site`; return whether they passed."""
    (host / "omnelog").unlink()  # from here on the copy is the only omnelog
    if (host / "host" / "_vendor" / "omnelog").exists():
        shutil.copytree(PROJECT / "tests", host / "tests")
        package = "host._vendor.omnelog"
        replace_import(host / "tests", "import omnelog", "from host._vendor import omnelog")
        replace_import(
            host / "tests", "from omnelog import testing", f"from {package} import testing"
        )
    else:
        shutil.copytree(PROJECT / LAYER_1, host / LAYER_1)
        package = "host._vendor"
    replace_import(host / LAYER_1, "from omnelog import linelog", f"from {package} import linelog")
    variables = os.environ | {"PYTHONPATH": str(site or "")}
    gone = ["omnelog", *([] if site else ["filelock"])]
    find = f"from importlib.util import find_spec; print(*filter(find_spec, {gone}))"
    found = subprocess.run(
        [sys.executable, "-c", find], cwd=host, env=variables, capture_output=True, check=True
    ).stdout.split()
    assert not found, f"installed: {found}"
    pytest = [sys.executable, "-m", "pytest", f"--config-file={PROJECT / 'pyproject.toml'}"]
    print(f"=== {host.name}", flush=True)
    return (
        subprocess.run(
            [*pytest, f"--rootdir={host}", *arguments], cwd=host, env=variables
        ).returncode
        == 0
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
