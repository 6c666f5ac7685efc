"""Unpacks archives by Ansible's own `unarchive`, and removes what a failed one has half-written.

Owns what is left after a failure. Must not change what is unpacked, when, or the outcome of a task.

On a full disk, GNU tar gives a truncated file the time and the mode of the archive's. Ansible compares these and not
sizes: its next run takes the truncated file for the whole one, and the program ends at its first call.
"""

from __future__ import annotations

import importlib.util
import os
import shlex

from ansible.plugins import action

# Ansible loads this file by the name of its own plugin, so that name imports this file.
_own = importlib.util.spec_from_file_location(
    "lab_unarchive_of_ansible", os.path.join(os.path.dirname(action.__file__), "unarchive.py")
)
_module = importlib.util.module_from_spec(_own)
_own.loader.exec_module(_module)

DIFFERS = ": Size differs"


class ActionModule(_module.ActionModule):
    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        extracted = result.get("extract_results") or {}
        # The module passes the words of tar on. Archives of zip are compared by their checksums.
        if result.get("failed") and "--extract" in extracted.get("cmd", []):
            result["stderr"] = extracted["err"] + self._remove_truncated(extracted["cmd"])
        return result

    def _remove_truncated(self, words):
        """Removes the files that are not as long as in the archive, and returns a sentence about those that remain."""
        compare = ["--diff" if word == "--extract" else word for word in words] + ["--quoting-style=literal"]
        compared = self._low_level_execute_command("LC_ALL=C " + shlex.join(compare))
        folder = words[words.index("-C") + 1]
        lines = compared["stdout"].splitlines()
        truncated = [os.path.join(folder, line.removesuffix(DIFFERS)) for line in lines if line.endswith(DIFFERS)]
        if not truncated:
            return ""
        removed = self._low_level_execute_command(shlex.join(["rm", "-f", "--", *truncated]))
        return removed["stderr"] if removed["rc"] else ""
