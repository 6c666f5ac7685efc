"""Prints Ansible's events: one JSON object a line on standard output.

Owns the shape of these lines, which `lab/core/src/kubespray/events.rs` reads. Must not pass on what a module
returned as a whole: results hold keys, tokens and certificates. Only what says why a task failed, and what a
`debug` task says, goes out. The keeper of the lines takes out what looks like a secret (`lab_core::secrets`).
"""

from __future__ import annotations

import json
import shlex
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: lab_events
    type: stdout
    short_description: what happens, one JSON object a line
    description:
      - Plays, tasks, what became of them on each machine, and the recap.
"""

# The end of a program's standard error has the reason for its failure.
LINES_OF_STANDARD_ERROR = 20


def text(value):
    if value is None or value == "":
        return None
    written = value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
    return written.strip() or None


def command(words):
    return text(" ".join(shlex.quote(str(word)) for word in words) if isinstance(words, list) else words)


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "lab_events"

    def __init__(self):
        super().__init__()
        self._started = {}

    def _print_event(self, event, **fields):
        line = {"event": event, "at": round(time.time(), 3)}
        line.update({name: value for name, value in fields.items() if value is not None})
        self._display.display(json.dumps(line))

    def v2_playbook_on_play_start(self, play):
        self._print_event("play", name=play.get_name().strip())

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._task(task)

    def v2_playbook_on_cleanup_task_start(self, task):
        self._task(task)

    def v2_playbook_on_handler_task_start(self, task):
        self._task(task, handler=True)

    def _task(self, task, handler=None):
        self._print_event("task", name=task.get_name().strip(), path=task.get_path(), action=task.action, handler=handler)

    def v2_runner_on_start(self, host, task):
        self._started[(task._uuid, host.name)] = time.time()

    def v2_runner_on_ok(self, result):
        returned = result._result
        changed = bool(returned.get("changed"))
        said = None
        if result._task.action in ("debug", "ansible.builtin.debug") and not result._task.no_log:
            said = returned.get("msg")
        self._result(result, "changed" if changed else "ok", said=said)

    def v2_runner_on_skipped(self, result):
        self._result(result, "skipped")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        returned = result._result
        # In a loop, the failed item has the reason.
        items = [item for item in returned.get("results") or [] if isinstance(item, dict) and item.get("failed")]
        failed = items[0] if items else returned
        written = text(failed.get("stderr")) or text(failed.get("module_stderr"))
        if written:
            written = "\n".join(written.splitlines()[-LINES_OF_STANDARD_ERROR:])
        self._result(
            result,
            "failed",
            ignored=ignore_errors or None,
            message=text(failed.get("msg")) or text(returned.get("msg")) or text(failed.get("censored")),
            item=text(failed.get(failed.get("ansible_loop_var", "item"))) if items else None,
            command=command(failed.get("cmd")),
            assertion=text(failed.get("assertion")),
            stderr=written,
        )

    def v2_runner_on_unreachable(self, result):
        self._result(result, "unreachable", message=text(result._result.get("msg")))

    def v2_runner_retry(self, result):
        returned = result._result
        left = returned.get("retries", 0) - returned.get("attempts", 0)
        self._result(result, "retry", left=left, message=text(returned.get("msg")), over=False)

    def _result(self, result, outcome, over=True, **fields):
        task, host = result._task, result._host.get_name()
        key = (task._uuid, host)
        started = self._started.pop(key, None) if over else self._started.get(key)
        seconds = None if started is None else round(time.time() - started, 3)
        self._print_event("result", task=task.get_name().strip(), host=host, outcome=outcome, seconds=seconds, **fields)

    def v2_playbook_on_stats(self, stats):
        hosts = {host: stats.summarize(host) for host in sorted(stats.processed)}
        self._print_event("recap", hosts=hosts)
