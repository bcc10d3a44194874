# SPDX-License-Identifier: MIT
"""What an implementation does at each of its system calls, seen and disturbed through strace.

The adapter runs as it is; strace watches its calls on one volume's files and directories. A case
lets one of them fail, kills the process there, or stops it there while another adapter acts, and
then judges answers and files. `scenarios` says what is played, `faults` what can happen to a call
and what is owed then, `traces` which order of calls a clause owes, `truth` which files are right,
`play` runs a case, `run` all of them, `strace` is the tool.
"""
