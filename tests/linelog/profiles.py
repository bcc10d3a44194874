# SPDX-License-Identifier: MIT
"""How many examples hypothesis tries, by the environment variable HYPOTHESIS_PROFILE.

``usual`` is the default. ``thorough`` tries forty times as many (`nox -s properties`), and
``brief`` less than half, where the usual number was tried elsewhere on the same code.
``repeatable`` tries the same examples every time, and twice the usual number, so that a mutant that
one run kills does not survive the next.

There is no deadline and no complaint about slow data: a loaded machine is not a bug.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "usual",
    max_examples=50,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("usual"), max_examples=2000)
# It keeps no examples, because copies of the project that are broken on purpose are tested with it.
settings.register_profile("brief", settings.get_profile("usual"), max_examples=20, database=None)
settings.register_profile(
    "repeatable", settings.get_profile("usual"), max_examples=100, derandomize=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "usual"))
