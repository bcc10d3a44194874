# SPDX-License-Identifier: MIT
"""`nox -s vendoring`: omnelog vendored into a host, and its own tests run on the copy.

Three hosts are made in a temporary directory, by the commands and the configuration that README's
section "Vendoring" shows: copied by hand, filelock being installed; copied by hand with filelock;
fetched by the `vendoring` tool with filelock. In none of them can omnelog be imported by its own
name, nor filelock where it was vendored, so nothing but the copy can be what is tested. The tests
are those of the core as they are, but for the two lines of ``tests/__init__.py``.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

PROJECT = Path(__file__).parents[1]
HOUSE = ["tests/test_house.py", "tests/test_vendoring.py"]  # these know filelock by its name


def main(arguments: list[str]) -> int:
    """Run pytest in each host with `arguments`, test files; return 0, or 1 if any test failed."""
    section = (PROJECT / "README.md").read_text().split("\n## Vendoring\n")[1].split("\n## ")[0]
    by_hand, filelock_too = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    [configuration] = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    [pins] = re.findall(r"```text\n(.*?)```", section, re.DOTALL)
    with TemporaryDirectory(prefix="omnelog-vendoring-") as name:
        work = Path(name)
        site = work / "site"
        run(work, "pip", "install", "-q", "--no-deps", "-t", site, "filelock>=3.30")
        run(work, "pip", "wheel", "-q", "--no-deps", "-w", work, PROJECT)
        [wheel] = work.glob("*.whl")

        copied = new_host(work / "copied")
        run(copied, "sh", "-ec", by_hand)
        updated(copied, by_hand)
        passed = [tested(copied, [*arguments, *HOUSE], site)]

        both = new_host(work / "copied-with-filelock")
        run(both, "sh", "-ec", by_hand + filelock_too, PYTHONPATH=site)
        updated(both, by_hand + filelock_too, PYTHONPATH=site)
        passed.append(tested(both, arguments, None))

        fetched = new_host(work / "fetched-by-the-tool")
        version = wheel.name.split("-")[1]
        (fetched / "pyproject.toml").write_text(configuration)
        vendor = fetched / "host" / "_vendor"
        vendor.mkdir(parents=True)
        for package in (vendor.parent, vendor):
            (package / "__init__.py").touch()
        assert f"omnelog=={version}\n" in pins, f"README does not pin {version}"
        pins = pins.replace(f"omnelog=={version}", f"omnelog @ {wheel.as_uri()}")
        (vendor / "vendor.txt").write_text(pins)
        run(fetched, "vendoring", "sync", TMPDIR=work)
        for left_out in ("cli", "__main__.py", "testing"):
            assert not (vendor / "omnelog" / left_out).exists(), left_out
        shutil.copytree(PROJECT / "omnelog" / "testing", vendor / "omnelog" / "testing")
        passed.append(tested(fetched, arguments, None))
    return 0 if all(passed) else 1


def new_host(host: Path) -> Path:
    """A directory with a checkout of omnelog in it, where README's commands look for one."""
    host.mkdir()
    (host / "omnelog").symlink_to(PROJECT)
    return host


def updated(host: Path, script: str, **environment: Path) -> None:
    """See that copying by hand once more leaves nothing of what was there, and has licences."""
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


def run(directory: Path, *command: str | Path, **environment: Path) -> None:
    """Run a command that must succeed."""
    print("+", *command, flush=True)
    variables = os.environ | {name: str(value) for name, value in environment.items()}
    subprocess.run(list(map(str, command)), cwd=directory, env=variables, check=True)


def tested(host: Path, arguments: list[str], site: Path | None) -> bool:
    """Run tests on the host's copy, with what is in `site` installed too; whether they passed."""
    (host / "omnelog").unlink()  # from here on there is no omnelog but the copy
    shutil.copytree(PROJECT / "tests", host / "tests")
    seam = host / "tests" / "__init__.py"
    text = seam.read_text()
    for line, vendored in (
        ("\nimport omnelog\n", "\nfrom host._vendor import omnelog\n"),
        ("\nfrom omnelog import testing\n", "\nfrom host._vendor.omnelog import testing\n"),
    ):
        assert line in text
        text = text.replace(line, vendored)
    seam.write_text(text)
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
