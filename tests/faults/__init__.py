# SPDX-License-Identifier: MIT
"""Tests of faults: no acknowledged event is lost, and no half-written one is seen.

The tests make every system call of the core fail in every way it can. They cut a log at every byte,
generate every state that a power loss can leave behind, and recover from it. All of this is
deterministic: a failing case prints its id, and ``OMNELOG_FAULT_CASE=<id>`` replays that case.
``OMNELOG_FAULTS=thorough`` runs the long versions. ``python -m tests.faults`` runs the long
versions too, and then the mutants.
"""
