# SPDX-License-Identifier: MIT
"""Check what an implementation does at each of its system calls, with strace.

The adapter runs unchanged. strace watches its calls on the files and directories of one volume. A
case makes one call fail, kills the process there, or stops it there while another adapter acts, and
then judges answers and files. `scenarios` defines the requests and the volumes, `faults` what can
happen to a call and what must follow, `traces` which order of calls a clause requires, and `truth`
which files are right. `play` runs one case, `run` runs all of them, and `strace` runs the tool.
"""
