# SPDX-License-Identifier: MIT
"""The profiles of hypothesis. The environment variable HYPOTHESIS_PROFILE chooses one.

A profile says how many examples hypothesis tries. ``usual`` is the default. ``thorough`` tries
forty times as many (`nox -s properties`). ``brief`` tries less than half as many, for code that
other runs test with the usual number. ``repeatable`` tries the same examples every time, twice as
many as usual, so that a mutant that one run kills does not survive the next.

There is no deadline, and slow data is not reported, because a busy machine is not a bug.
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
# `brief` keeps no examples, because it also tests copies that are broken on purpose.
settings.register_profile("brief", settings.get_profile("usual"), max_examples=20, database=None)
settings.register_profile(
    "repeatable", settings.get_profile("usual"), max_examples=100, derandomize=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "usual"))
