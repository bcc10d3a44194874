# SPDX-License-Identifier: MIT
"""Every schedule: the real code of several processes, in every order of their system calls.

Between processes only system calls matter. So several processes are played in one, each in a
greenlet with handles and open files of its own, and each stops before every system call of the
core until the scheduler lets it go on. All orders can then be enumerated, and each is checked after
every step. The files and the lock are the kernel's.

`scenarios` says what the processes do, `processes` runs them, `system` stops them, and `promises`
checks what they do. `run` runs one schedule, `explore` all of them, and `table` says of which
scenarios. `mutants` has the mistakes that must be found. ``python -m tests.schedules`` searches at
length, or runs one schedule again.
"""
