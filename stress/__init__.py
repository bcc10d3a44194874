# SPDX-License-Identifier: MIT
"""A concurrency verifier for the event log: many processes append, every line is proven intact.

``python -m stress`` runs it. What happens is recorded by those who do it (`workers`), in files of
plain JSON (`receipts`), and judged afterwards by a program that shares no code with omnelog
(`checker`). Because a check that cannot fail proves nothing, every run also lets appenders that
are broken on purpose (`sabotage`) loose on a log, and fails unless each of them is caught.
"""
