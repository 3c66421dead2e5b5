"""The worker of TimerJobs' user functions: it runs calls, one at a time, or scans files.

It owns how Python code is loaded, called and described. It decides nothing about time, output or
what is registered: the server does, from outside. It is sent over fd 0 (see src/exec/func/python)
and needs Python 3.8 and its standard library alone; modules that only some calls need are imported
when they are needed.

The wire: frames of four bytes of length (big endian) and that many bytes. The server sends one
`setup` frame and one frame for each source; then a worker gets a frame for each call and answers
each with one, and a scan answers with frames until it says `end`.
"""

import _signal
import fcntl
import json
import os
import resource
import select
import sys

SHIM = "<timerjobs>"
TEXT_MAX = 8 * 1024

me = os.getpid()


def keep(fd):
    """A copy of fd that no child inherits and that user code does not meet by chance."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100)


wire, out, err = keep(0), keep(1), keep(2)


def close_in_child():
    os.close(wire)


# A forked child must not hold the wire: its end is how the server learns that we are dead.
os.register_at_fork(after_in_child=close_in_child)


def read_exactly(count):
    parts = []
    while count:
        part = os.read(wire, min(count, 1 << 20))
        if not part:
            os._exit(0)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def read_frame():
    return read_exactly(int.from_bytes(read_exactly(4), "big"))


def write_all(fd, data):
    # asyncio may have made the pipe non-blocking: the flag is shared by all who have it open.
    os.set_blocking(fd, True)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


def send(value):
    data = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    write_all(wire, len(data).to_bytes(4, "big") + data)


def die_with_server(on):
    """While user code runs nobody reads the wire, so the kernel is asked to tell us of its end: SIGIO
    ends the whole process group, also one that loops in C and never gives up the interpreter's lock."""
    flags = fcntl.fcntl(wire, fcntl.F_GETFL)
    if not on:
        fcntl.fcntl(wire, fcntl.F_SETFL, flags & ~os.O_ASYNC)
        return
    fcntl.fcntl(wire, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(wire, fcntl.F_SETFL, flags | os.O_ASYNC)
    if select.select([wire], [], [], 0)[0]:
        os._exit(0)


class Sources:
    """The user's files as the server read them: imports between them see the same generation."""

    def __init__(self, folder, listed):
        self.files = {one["file"]: (one["path"], read_frame()) for one in listed}
        self.paths = {path: file for file, (path, _) in self.files.items()}
        self.modules = {self.module(file): file for file in self.files}
        sys.meta_path.insert(0, self)
        # Last, so that a file of the user's never stands in for the standard library.
        sys.path.append(folder)

    @staticmethod
    def module(file):
        stem = file[:-3]
        taken = getattr(sys, "stdlib_module_names", sys.builtin_module_names)
        return stem if stem.isidentifier() and stem not in taken else "user_funcs " + stem

    def find_spec(self, name, path=None, target=None):
        file = self.modules.get(name)
        if file is None:
            return None
        # Only now: this very import comes by here.
        from importlib.machinery import ModuleSpec

        return ModuleSpec(name, self, origin=self.files[file][0])

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        path, source = self.files[self.modules[module.__name__]]
        module.__file__ = path
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)

    def load(self, file):
        name = self.module(file)
        __import__(name)
        return sys.modules[name]

    def show_lines(self):
        """Tracebacks show the lines that ran, not what the disk holds by now."""
        import linecache
        from importlib.util import decode_source

        for path, source in self.files.values():
            try:
                text = decode_source(source)
            except (SyntaxError, UnicodeDecodeError):
                continue
            linecache.cache[path] = (len(text), None, text.splitlines(True), path)

    def place(self, error):
        """Where in the user's files an exception comes from, and the traceback from there on."""
        line, first, tb = None, None, error.__traceback__
        after_shim = None
        while tb is not None:
            name = tb.tb_frame.f_code.co_filename
            if name in self.paths:
                first = first or tb
                line = (self.paths[name], tb.tb_lineno)
            elif name != SHIM:
                after_shim = after_shim or tb
            tb = tb.tb_next
        return line, first or after_shim


def in_words(error):
    try:
        text = str(error)
    except Exception:
        text = ""
    name = type(error).__name__
    return cut(name + ": " + text if text else name, TEXT_MAX)


def cut(text, limit):
    data = text.encode("utf-8", "replace")
    return data[:limit].decode("utf-8", "ignore")


# Calls.


def render(value):
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return repr(value)


def wait_for(awaitable):
    import asyncio

    async def main():
        return await awaitable

    return asyncio.run(main())


def perform(sources, order):
    try:
        function = getattr(sources.load(order["file"]), order["name"])
        try:
            value = function(*order["args"])
        except TypeError as error:
            # Raised by the call itself: no frame of the function was entered.
            if error.__traceback__.tb_next is None:
                return {"kind": "arguments", "error": cut(str(error), TEXT_MAX)}
            raise
        if hasattr(type(value), "__await__"):
            value = wait_for(value)
        elif type(value).__name__ == "generator":
            # What it would yield is what it is called for.
            value = list(value)
        return {"kind": "value", "value": cut(render(value), order["limit"])}
    except SystemExit as error:
        # As a process's exit code would be.
        code = int(error.code) & 0xFF if isinstance(error.code, int) else int(error.code is not None)
        said = "" if error.code is None else cut(str(error.code), TEXT_MAX)
        return {"kind": "exit", "error": said, "code": code}
    except BaseException as error:
        line, tb = sources.place(error)
        answer = {"kind": "raised", "error": in_words(error), "retire": isinstance(error, MemoryError)}
        if line:
            answer["file"], answer["line"] = line
        if os.getpid() == me:
            try:
                import traceback

                sources.show_lines()
                traceback.print_exception(type(error), error, tb, file=sys.stderr)
            except Exception:
                pass
        # Frames keep what they held alive, and some of it may be large.
        error.__traceback__ = None
        return answer


def open_text(fd):
    return open(fd, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)


def flush(*streams):
    for stream in streams:
        try:
            stream.flush()
        except Exception:
            pass
    if "ctypes" in sys.modules:
        try:
            sys.modules["ctypes"].CDLL(None).fflush(None)
        except Exception:
            pass


def serve(sources):
    home = os.getcwd()
    env, mask = dict(os.environ), os.umask(0o22)
    os.umask(mask)
    while True:
        order = json.loads(read_frame())
        os.environ.update(order["env"])
        streams = sys.stdout, sys.stderr = open_text(1), open_text(2)
        for fd in (out, err):
            write_all(fd, order["begin"].encode())
        die_with_server(True)
        answer = perform(sources, order)
        if os.getpid() != me:
            # The function forked, and this is the child that came back from it too.
            flush(*streams)
            os._exit(0)
        flush(sys.stdout, sys.stderr, *streams)
        die_with_server(False)
        # What a function did to its own surroundings is not the next one's business.
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.umask(mask)
        os.environ.clear()
        os.environ.update(env)
        try:
            os.chdir(home)
        except OSError:
            pass
        for fd in (out, err):
            write_all(fd, order["end"].encode())
        send(answer)


# Scans.


def describe(name, function, line, end):
    import inspect

    place = {"line": line, "end": end}
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return {"name": name, "signature": name + "(...)", "doc": "", "params": [], **place}
    params = []
    for one in signature.parameters.values():
        prefix = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        has_default = one.default is not one.empty
        params.append({
            "name": prefix + one.name,
            "required": not has_default and not prefix,
            "default": cut(repr(one.default), 200) if has_default else None,
        })
    return {
        "name": name,
        "signature": cut(name + str(signature), 2000),
        "doc": cut(inspect.getdoc(function) or "", 4000),
        "params": params,
        **place,
    }


def ends_of(source, path):
    """The last line of what is defined in the file, by its first, a decorator's being the first."""
    import ast

    ends = {}
    for node in ast.walk(ast.parse(source, path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            first = min([node.lineno] + [one.lineno for one in getattr(node, "decorator_list", [])])
            ends[first] = max(ends.get(first, 0), node.end_lineno)
    return ends


def functions_of(module, source, path):
    import inspect

    ends = ends_of(source, path)
    for name, value in list(vars(module).items()):
        if name.startswith("_") or inspect.isclass(value) or not callable(value):
            continue
        if getattr(value, "__module__", None) != module.__name__:
            continue
        try:
            plain = inspect.unwrap(value)
        except ValueError:
            continue
        if inspect.isfunction(plain):
            code = plain.__code__
            # What a decorator of another file put in its place has no lines here.
            end = ends.get(code.co_firstlineno) if code.co_filename == path else None
            yield describe(name, value, code.co_firstlineno, end)


def scan(sources, files):
    die_with_server(True)
    for file in files:
        send({"kind": "begin", "file": file})
        try:
            path, source = sources.files[file]
            compile(source, path, "exec", dont_inherit=True)
            functions = list(functions_of(sources.load(file), source, path))
            answer = {"kind": "loaded", "file": file, "functions": functions}
        except SyntaxError as error:
            here = error.filename == sources.files[file][0]
            where = "" if here or not error.filename else " (" + os.path.basename(error.filename) + ")"
            answer = {
                "kind": "failed",
                "file": file,
                "line": error.lineno if here else None,
                "error": type(error).__name__ + ": " + cut(str(error.msg), TEXT_MAX) + where,
            }
        except BaseException as error:
            line = None
            tb = error.__traceback__
            while tb is not None:
                if sources.paths.get(tb.tb_frame.f_code.co_filename) == file:
                    line = tb.tb_lineno
                tb = tb.tb_next
            answer = {"kind": "failed", "file": file, "line": line, "error": in_words(error)}
        if os.getpid() != me:
            os._exit(0)
        send(answer)
    send({"kind": "end"})
    os._exit(0)


def main():
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.argv = [""]
    setup = json.loads(read_frame())
    sources = Sources(setup["folder"], setup["sources"])
    if setup["memory"]:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = setup["memory"] if hard == resource.RLIM_INFINITY else min(setup["memory"], hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if setup["scan"] is None:
        serve(sources)
    else:
        scan(sources, setup["scan"])


main()
