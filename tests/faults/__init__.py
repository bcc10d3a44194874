# SPDX-License-Identifier: MIT
"""Faults: nothing acknowledged is ever lost, nothing half-written is ever seen.

Every system call the core makes is made to fail in every way it can, a log is cut at every byte,
and every state that a power loss can leave behind is generated and recovered from. All of it is
deterministic: a failing case prints its id, and ``OMNELOG_FAULT_CASE=<id>`` replays that one.
``OMNELOG_FAULTS=thorough`` runs the long versions, and ``python -m tests.faults`` those and, in the
end, the mutants.
"""
