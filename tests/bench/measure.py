"""Measures programs side by side: the same machine, the same minute, taking turns, so that only the ratio counts."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

Work = Callable[[], "Sample"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: seconds by the clock, of CPU with all children, and the largest resident size in MiB of any of them."""

    seconds: float
    cpu: float = 0.0
    mebibytes: float = 0.0


# Linux counts what the starting process held into the largest size of the one that it starts: a small one starts it.
_STARTER = """
import json, os, sys, time
writing = int(sys.argv[1])
os.set_inheritable(writing, False)
started = time.perf_counter()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
seconds = time.perf_counter() - started
told = (seconds, os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
os.write(writing, json.dumps(told).encode())
"""


@dataclass(frozen=True, slots=True)
class Program:
    """A command line with the environment to run it in; any other exit code than those given stops the benchmark."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    stdin: str | None = None
    codes: tuple[int, ...] = (0,)

    def __call__(self) -> Sample:
        return self._run(self._through_a_starter)

    def beside(self) -> Sample:
        """The same at once, for several that begin together: of no use for what it held, which is ours at least."""
        return self._run(self._at_once)

    def _run(self, start: Callable[[IO[bytes], IO[bytes], IO[bytes]], tuple[float, int, float, float]]) -> Sample:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as given:
            if self.stdin is not None:
                given.write(self.stdin.encode())
                given.seek(0)
            seconds, code, cpu, kibibytes = start(given, out, err)
            if code not in self.codes:
                err.seek(0)
                words = " ".join(self.argv)
                raise RuntimeError(f"`{words}` ended with {code}:\n{err.read().decode()[-2000:]}")
        return Sample(seconds, cpu, kibibytes / 1024)

    def _through_a_starter(self, given: IO[bytes], out: IO[bytes], err: IO[bytes]) -> tuple[float, int, float, float]:
        reading, writing = os.pipe()
        with os.fdopen(reading) as told:
            subprocess.run(
                [sys.executable, "-I", "-S", "-c", _STARTER, str(writing), *self.argv],
                env=dict(self.environ),
                stdin=given,
                stdout=out,
                stderr=err,
                pass_fds=(writing,),
                check=True,
            )
            os.close(writing)
            seconds, code, cpu, kibibytes = json.loads(told.read())
        return seconds, code, cpu, kibibytes

    def _at_once(self, given: IO[bytes], out: IO[bytes], err: IO[bytes]) -> tuple[float, int, float, float]:
        started = time.perf_counter()
        process = subprocess.Popen(self.argv, env=dict(self.environ), stdin=given, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        return seconds, process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def in_turns(works: Mapping[str, Work], rounds: int, warm_up: int = 1) -> dict[str, Sample]:
    """The median of each work over `rounds` rounds in which every work runs once; memory is the largest seen."""
    for _ in range(warm_up):
        for work in works.values():
            work()
    samples: dict[str, list[Sample]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            samples[name].append(work())
    return {
        name: Sample(
            statistics.median(sample.seconds for sample in taken),
            statistics.median(sample.cpu for sample in taken),
            max(sample.mebibytes for sample in taken),
        )
        for name, taken in samples.items()
    }


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: ours beside theirs, and the ratio that was promised."""

    ours: str
    theirs: str
    measured: Sample
    beside: Sample
    ratio_limit: float
    memory_limit: float | None = None

    @property
    def ratio(self) -> float:
        return self.measured.seconds / self.beside.seconds

    @property
    def kept(self) -> bool:
        in_memory = self.memory_limit is None or self.measured.mebibytes <= self.memory_limit
        return self.ratio <= self.ratio_limit and in_memory


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text; a promise that was not kept is marked `OVER`.

    Seconds of CPU stand beside those of the clock: on a machine that is busy with other things they say more.
    """
    head = ("ddhelm", "s", "CPU s", "MiB", "", "beside", "s", "CPU s", "ratio", "promised", "")
    lines = [head]
    for row in rows:
        memory = "" if row.memory_limit is None else f"≤ {row.memory_limit:.0f}"
        ours = (f"{row.measured.seconds:.3f}", f"{row.measured.cpu:.2f}", f"{row.measured.mebibytes:.0f}", memory)
        theirs = (f"{row.beside.seconds:.3f}", f"{row.beside.cpu:.2f}")
        verdict = (f"{row.ratio:.2f}", f"≤ {row.ratio_limit:.2f}", "" if row.kept else "OVER")
        lines.append((row.ours, *ours, row.theirs, *theirs, *verdict))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    words = {0, 5, 10}
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
