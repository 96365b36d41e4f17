"""The jobs that could start if there were room: first come, first served, but what fits may overtake."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush


@dataclass(frozen=True, slots=True)
class Room:
    """CPUs, memory (KiB) and GPUs: what a job needs, what is free, what the machine has."""

    ncpus: int
    mem_kb: int
    ngpus: int

    def holds(self, need: Room) -> bool:
        """Whether a need fits in."""
        return need.ncpus <= self.ncpus and need.mem_kb <= self.mem_kb and need.ngpus <= self.ngpus

    def __add__(self, other: Room) -> Room:
        return Room(self.ncpus + other.ncpus, self.mem_kb + other.mem_kb, self.ngpus + other.ngpus)

    def __sub__(self, other: Room) -> Room:
        return Room(self.ncpus - other.ncpus, self.mem_kb - other.mem_kb, self.ngpus - other.ngpus)

    def shortage(self, need: Room, free: Room, mem_asked: str) -> str:
        """Say in the scheduler's words what a need lacks; ``self`` is all there is. "" if nothing.

        ``mem_asked`` is the memory as the job wrote it.
        """
        if need.ncpus > free.ncpus:
            lack = f"ncpus (R: {need.ncpus} A: {free.ncpus} T: {self.ncpus})"
        elif need.mem_kb > free.mem_kb:
            lack = f"mem (R: {mem_asked} A: {free.mem_kb}kb T: {self.mem_kb}kb)"
        elif need.ngpus > free.ngpus:
            lack = f"ngpus (R: {need.ngpus} A: {free.ngpus} T: {self.ngpus})"
        else:
            return ""
        return f"Insufficient amount of resource: {lack}"


class Backlog:
    """Waiting jobs by number. All steps cost as much as there are different needs, not jobs."""

    def __init__(self) -> None:
        self._waiting: set[int] = set()
        self._in_heaps: set[int] = set()
        self._heaps: dict[Room, list[tuple[int, int]]] = {}

    def add(self, number: int, need: Room, priority: int) -> None:
        """Let a job wait; higher priority first, then lower number."""
        self._waiting.add(number)
        if number not in self._in_heaps:  # what waits no longer stays there until it comes first
            self._in_heaps.add(number)
            heappush(self._heaps.setdefault(need, []), (-priority, number))

    def remove(self, number: int) -> None:
        """Let a job wait no longer; fine if it did not."""
        self._waiting.discard(number)

    def first_that_fits(self, free: Room) -> int | None:
        """Give the job that is to start next, or None. It stays in the backlog."""
        best: tuple[int, int] | None = None
        for need in list(self._heaps):
            heap = self._heaps[need]
            while heap and heap[0][1] not in self._waiting:
                self._in_heaps.discard(heappop(heap)[1])
            if not heap:
                del self._heaps[need]
            elif free.holds(need) and (best is None or heap[0] < best):
                best = heap[0]
        return None if best is None else best[1]
