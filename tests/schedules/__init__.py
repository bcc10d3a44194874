# SPDX-License-Identifier: MIT
"""Run the real code of several processes in every order of their system calls.

Between processes only system calls matter. So one process plays several, each in a greenlet with
handles and open files of its own. Each greenlet stops before every system call of the core, until
the scheduler lets it continue. So the tests can enumerate all orders, and check each order after
every step. The files and the lock are those of the kernel.

`scenarios` says what the processes do, `processes` runs them, `system` stops them, and `promises`
checks what they do. `run` runs one schedule, and `explore` runs all schedules of a scenario.
`table` lists the scenarios. `mutants` has the mistakes that must be found.
``python -m tests.schedules`` runs the long search, or runs one schedule again.
"""
