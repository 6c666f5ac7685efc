"""Runs tasks in Ansible's linear order, with less work for each: what costs time and changes no result is left out.

Owns four savings. A task that touches no machine (it is skipped, or only computes) ends in this process instead
of a fork of it. A template is compiled once, a plugin that it names is found once, and the variables of a role and the
facts of a machine are prepared once. Where mitogen is in the environment, machines are reached through one Python that
stays, not through a login, a sudo and a Python for each task. It polls conditions each second.
Must not change what a task does, what comes of it, or the order of tasks.

The savings replace parts of Ansible that are no interface. In a series of ansible-core for which they were not tried
this is the linear strategy, and says so.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import math
import os
from collections.abc import MutableMapping

import jinja2
from ansible import constants
from ansible.executor import task_executor
from ansible.executor.process import worker
from ansible.playbook.role import Role
from ansible.playbook.task import Task
from ansible.plugins import strategy
from ansible.plugins.loader import Jinja2Loader, strategy_loader
from ansible.release import __version__ as version
from ansible.utils.display import Display
from ansible.utils.unsafe_proxy import wrap_var
from ansible.vars import manager
from ansible.vars.clean import clean_facts, namespace_facts

try:
    import ansible_mitogen.affinity
    import ansible_mitogen.planner
    import ansible_mitogen.strategy
    import mitogen.unix

    MITOGEN = True
except ImportError:
    MITOGEN = False

DOCUMENTATION = """
    name: lab_linear
    short_description: the linear strategy with less work for each task
    description:
      - Tasks run in the order of the linear strategy and have its results.
"""

Linear = strategy_loader.get("linear", class_only=True)

# The series of ansible-core whose parts are known.
KNOWN = version.startswith(("2.17.", "2.18."))
# How often a task tries again that does not say it.
UNSAID_RETRIES = 3
# The longest path of a socket that Linux takes.
LONGEST_SOCKET = 107

# These only compute. Their plugins get a connection, and never use it.
COMPUTING = frozenset(
    name
    for word in ("assert", "debug", "fail", "set_fact")
    for name in (word, "ansible.builtin." + word, "ansible.legacy." + word)
)


class NeedsWorker(BaseException):
    """A task would go to a machine. No `except Exception` of Ansible's may take it for a failure of the task."""


class Sent:
    """Takes what a task sends until it is known whether it ends here."""

    def __init__(self):
        self.messages = []

    def __getattr__(self, name):
        if not name.startswith("send_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self.messages.append((name, args, kwargs))


class Worker(worker.WorkerProcess):
    """A worker that forks only for a task that needs it."""

    trying = False

    def start(self):
        if not self._ends_here():
            super().start()

    def _ends_here(self):
        # A fork would work on copies of both.
        task = self._task.copy(exclude_parent=True, exclude_tasks=True)
        task._parent = self._task._parent
        variables = self._task_vars.copy()
        sent = Sent()
        executor = task_executor.TaskExecutor(
            self._host,
            task,
            variables,
            self._play_context,
            None,
            self._loader,
            self._shared_loader_obj,
            sent,
            self._variable_manager,
        )
        Worker.trying = True
        try:
            result = executor.run()
        except NeedsWorker:
            return False
        finally:
            Worker.trying = False
        for name, args, kwargs in sent.messages:
            getattr(self._final_q, name)(*args, **kwargs)
        # Through the queue: what comes out of it is a copy too.
        self._final_q.send_task_result(self._host.name, task._uuid, result, task_fields=task.dump_attrs())
        return True


def before_machines(original):
    """The last thing before a task goes to its machine: its conditions hold."""

    @functools.wraps(original)
    def post_validate(self, templar):
        if Worker.trying and self.action not in COMPUTING:
            raise NeedsWorker
        original(self, templar)
        look_sooner(self)

    return post_validate


def look_sooner(task):
    """Has a task that only looks until something is there look each second, for as long as it would have."""
    if task.until and task.changed_when == [False] and task.delay > 1:
        looks = math.ceil(task.delay)
        task.retries = looks * (UNSAID_RETRIES if task.retries is None else task.retries)
        task.delay /= looks


def compile_once(original):
    """The same text in the same dialect means the same program."""
    compiled = {}

    @functools.wraps(original)
    def compile(self, source, name=None, filename=None, raw=False, defer_init=False):
        if not isinstance(source, str) or name is not None or filename is not None or raw or defer_init:
            return original(self, source, name, filename, raw, defer_init)
        key = (
            source,
            type(self),
            self.block_start_string,
            self.block_end_string,
            self.variable_start_string,
            self.variable_end_string,
            self.comment_start_string,
            self.comment_end_string,
            self.line_statement_prefix,
            self.line_comment_prefix,
            self.trim_blocks,
            self.lstrip_blocks,
            self.newline_sequence,
            self.keep_trailing_newline,
            self.optimized,
            self.finalize,
            self.autoescape,
            self.sandboxed,
            tuple(self.extensions),
        )
        code = compiled.get(key)
        if code is None:
            code = compiled[key] = original(self, source, name, filename, raw, defer_init)
        return code

    return compile


def find_once(original):
    """A name in a template means the same plugin until there are other folders of plugins."""
    found = {}

    @functools.wraps(original)
    def get_with_context(self, name, *args, **kwargs):
        if args or kwargs:
            return original(self, name, *args, **kwargs)
        key = (id(self), name, len(self._extra_dirs))
        if key not in found:
            found[key] = original(self, name)
        return found[key]

    return get_with_context


def prepare_once(original):
    """A role's variables are known once it is loaded, for each chain of roles that it is reached by."""

    @functools.wraps(original)
    def prepared(self, dep_chain=None, **kwargs):
        known = self.__dict__.setdefault("_lab_" + original.__name__, {})
        key = (tuple(map(id, dep_chain or ())), tuple(sorted(kwargs.items())))
        if key not in known:
            # The roles of the chain are kept too, so that no other role ever gets their identity.
            known[key] = (original(self, dep_chain, **kwargs), dep_chain)
        return known[key][0]

    return prepared


class Facts(MutableMapping):
    """The facts of machines as they are kept, prepared for tasks once for each time that they are set."""

    def __init__(self, kept):
        self._kept = kept
        self._prepared = {}

    def get(self, key, default=None):
        if key not in self._prepared:
            if key not in self._kept:
                return default
            self._prepared[key] = Prepared(self._kept[key])
        return self._prepared[key]

    def __getitem__(self, key):
        return self._kept[key]

    def __setitem__(self, key, value):
        self._prepared.pop(key, None)
        self._kept[key] = value

    def __delitem__(self, key):
        self._prepared.pop(key, None)
        del self._kept[key]

    def __iter__(self):
        return iter(self._kept)

    def __len__(self):
        return len(self._kept)

    def flush(self):
        self._prepared.clear()
        self._kept.flush()


class Wrapped(dict):
    """Variables that are marked as unsafe already."""


class Prepared(Wrapped):
    """The facts of one machine, in the three forms in which tasks see them."""

    def __init__(self, facts):
        super().__init__(wrap_var(facts))
        self.namespaced = namespace_facts(self)["ansible_facts"]
        self.cleaned = Wrapped(wrap_var(clean_facts(self)))


def unless(kind, prepared):
    """Values of this kind are prepared already; the original prepares all others."""

    def saving(original):
        @functools.wraps(original)
        def function(value):
            return prepared(value) if isinstance(value, kind) else original(value)

        return function

    return saving


# The attributes replaced while a play runs, and their replacements.
SAVINGS = (
    (Task, "post_validate", before_machines),
    (strategy, "WorkerProcess", lambda original: Worker),
    (jinja2.Environment, "compile", compile_once),
    (Jinja2Loader, "get_with_context", find_once),
    (Role, "get_vars", prepare_once),
    (Role, "get_default_vars", prepare_once),
    (manager, "wrap_var", unless(Wrapped, lambda facts: facts)),
    (manager, "namespace_facts", unless(Prepared, lambda facts: {"ansible_facts": facts.namespaced.copy()})),
    (manager, "clean_facts", unless(Prepared, lambda facts: facts.cleaned)),
)

# The collections are in the environment, where mitogen finds them by itself. It would read all hundred of them in every
# task that uses one.
MITOGENS = ((ansible_mitogen.planner, "_load_collections", lambda original: lambda invocation: None),) if MITOGEN else ()


@contextlib.contextmanager
def saved(savings):
    """Replaces, and puts the originals back."""
    originals = [(place, name, getattr(place, name)) for place, name, _ in savings]
    for place, name, saving in savings:
        setattr(place, name, saving(getattr(place, name)))
    try:
        yield
    finally:
        for place, name, original in originals:
            setattr(place, name, original)


class Sparing(Linear):
    def run(self, iterator, play_context):
        variables = self._variable_manager
        if not isinstance(variables._fact_cache, Facts):
            variables._fact_cache = Facts(variables._fact_cache)
        # Loaded objects stay: neither the collector nor, by its marks, the forks need to touch it.
        gc.freeze()
        # The path of a playbook that a lookup names is marked as unsafe, and mitogen sends no such text. Marked text keeps
        # its mark through `str()`.
        self._loader.set_basedir(str.__str__(self._loader.get_basedir()))
        with saved(SAVINGS + MITOGENS):
            return super().run(iterator, play_context)


def socket_path():
    """A place that is removed with the other temporary files of this run, however it ends."""
    path = os.path.join(constants.DEFAULT_LOCAL_TMP, "mitogen")
    return path if len(path) <= LONGEST_SOCKET else make_socket_path()


if not KNOWN:
    Display().warning("lab_linear is not known to work with ansible-core %s: tasks are run as ever" % version)

    class StrategyModule(Linear):
        pass

elif MITOGEN:
    # On two processors its own choice has all of Ansible share one of them.
    ansible_mitogen.affinity.policy = ansible_mitogen.affinity.Policy()
    make_socket_path = mitogen.unix.make_socket_path
    mitogen.unix.make_socket_path = socket_path

    class StrategyModule(ansible_mitogen.strategy.StrategyMixin, Sparing):
        pass

else:

    class StrategyModule(Sparing):
        pass
