# SPDX-License-Identifier: MIT
"""A concurrency verifier for the event log: many processes append, every line is proven intact.

``python -m stress`` runs it. Each process records what it does (`workers`), in files of plain JSON
(`receipts`). Afterwards a program that shares no code with omnelog judges the files (`checker`). A
check that cannot fail proves nothing, so every run also tests appenders that are broken on purpose
(`sabotage`), and fails unless each of them is caught.
"""
