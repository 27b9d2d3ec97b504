"""Crash sweeps: end an operation at every call that changes a file.

An operation is a function of one argument, the path of a world (a directory
with everything it changes), named `module:function`.  A sweep copies a prepared
world for each point N, runs the operation in a PID namespace of its own, and at
the Nth file-changing call of any of its processes, before that call happens,

- `kill`: kills all of them at once (no handler runs, nothing is flushed);
- `power`: first stops the ext4 file system the world lies on, so that only what
  was synced is there after mounting it again.  Needs root and loop devices.
  When the operation ends first, the power is cut right after it said so;
- `errno:28`: lets that call fail with this errno; the operation goes on.

To add an operation, write it in a module that imports what it needs at the top
(a warm server imports it once), take everything from the world, and let
exceptions out.  The world is at the same path at each point, so absolute paths
that are under `Sweep.path(mode)` may be stored in it; what must outlive the
cut (an upstream server) belongs to the test, outside of it::

    # tests/crash/operations.py
    def fetch(world: Path) -> None:
        app = wire(load(world / "repos.toml", {}))
        app.sync_now()

    # tests/acceptance/test_crash.py
    @pytest.mark.crash
    def test_a_killed_fetch_leaves_old_or_new(...) -> None:
        with Sweep("tests.crash.operations:fetch", prepare) as sweep:
            for n in sweep.points(sweep.count(), sample=40):
                with sweep.point(n, "kill") as point:
                    assert refs(point.path) in (before, after), point.result

where `prepare(path)` makes the world at `path`, once.  `Result.call` names the
call that was cut and its files; `Sweep.calls()` lists all of them in order.

Calls are caught by a seccomp filter with a listener (`seccomp_unotify(2)`), not
by a preloaded library: glibc writes the buffers of stdio, creates temporary
files and spawns processes by calls that no library can stand in front of, git
writes `packed-refs` through stdio, and our git runner scrubs the environment.
The filter is inherited whatever the program is and however it was built; a call
by io_uring is refused with ENOSYS.  Writing through a shared memory mapping
escapes it: neither git nor SQLite writes what must last in that way.

`tests/integration/test_crash_shim.py` holds the sweep against `strace` and shows
that it catches operations that are deliberately wrong.
"""
