# SPDX-License-Identifier: MIT
"""The environment variables by which a recorded command knows where it runs."""

ROOT_VARIABLE = "OMNE_VOLUME_ROOT"
RUN_VARIABLE = "OMNE_RUN_ID"
NODE_VARIABLE = "OMNE_NODE_ID"
