"""Compares what the devices served with what the database has. Decisions only: no files, processes or sockets.

A poll is known by its device and its number. The database must have each served poll once, with all of its values, at the time at which it was
taken. What may be missing without being lost is what a killed gateway had not committed yet, and that is decided by time: the poll
must have been served within the commit interval, and twice what a commit takes, before the gateway last gave a sign of life. Where
the processor was another's before the kill, nothing could be committed, and nothing polled.
"""
import bisect
import dataclasses

from plant import check_value

# How far the time of a sample may be from the device's record: the batch bears the beginning of its poll. Milliseconds.
EARLIER_MAX = 5_000
LATER_MAX = 50


@dataclasses.dataclass
class Verdict:
    served: int = 0
    delivered: int = 0
    never_committed: int = 0  # within the commit interval before a killed gateway's last sign of life
    oldest_never_committed: float = 0.0  # milliseconds before it
    lost: list = dataclasses.field(default_factory=list)
    invented: list = dataclasses.field(default_factory=list)  # in the database, never served
    duplicated: list = dataclasses.field(default_factory=list)
    reordered: list = dataclasses.field(default_factory=list)
    wrong: list = dataclasses.field(default_factory=list)  # a value that belongs to another poll, or is missing
    misdated: list = dataclasses.field(default_factory=list)

    @property
    def is_clean(self):
        return not (self.lost or self.invented or self.duplicated or self.reordered or self.wrong or self.misdated)

    def counts(self):
        return {field.name: len(value) if isinstance(value := getattr(self, field.name), list) else value for field in dataclasses.fields(self)}


def judge(served, rows, kills, grace, checks, since=None):
    """Judges one device.

    - served: {number: time in ns} of the device's record.
    - rows: {tag: [(time in ms, value)…]} of the database, sorted by time; tags are `counter` and `check0`….
    - kills: of each gateway that was killed, ascending: when it last gave a sign of life, and when the next one began, in ns.
    - grace: ns before such a sign in which served polls may not have been committed. What was served between it and the next gateway
      was asked for by the dead one.
    - since: only polls with a greater number are judged.
    """
    verdict = Verdict()
    wanted = {number: time for number, time in served.items() if since is None or number > since}
    verdict.served = len(wanted)
    place = {}
    last = 0
    for time, value in rows.get("counter", []):
        number = int(value)
        if since is not None and number <= since:
            continue
        if number not in wanted or number != value:
            verdict.invented.append((number, time))
            continue
        if number in place:
            verdict.duplicated.append((number, time))
            continue
        place[number] = time
        if number < last:
            verdict.reordered.append((number, time))
        last = max(last, number)
        late = time - wanted[number] / 1e6
        if not -EARLIER_MAX <= late <= LATER_MAX:
            verdict.misdated.append((number, late))
    verdict.delivered = len(place)
    for number, time in wanted.items():
        if number in place:
            continue
        index = bisect.bisect_left(kills, time, key=lambda kill: kill[1])
        if index < len(kills) and kills[index][0] - time <= grace:
            verdict.never_committed += 1
            verdict.oldest_never_committed = max(verdict.oldest_never_committed, (kills[index][0] - time) / 1e6)
        else:
            verdict.lost.append((number, time))
    number_at = {time: number for number, time in place.items()}
    for index in range(checks):
        tag = f"check{index}"
        seen = set()
        for time, value in rows.get(tag, []):
            number = number_at.get(time)
            if number is None:
                continue  # of a poll before `since`, or one whose counter is told of already
            if number in seen:
                verdict.duplicated.append((number, tag))
            elif value != check_value(number, index):
                verdict.wrong.append((number, tag, value))
            seen.add(number)
        verdict.wrong.extend((number, tag, None) for number in place if number not in seen)
    return verdict


def last_signs(kills, served):
    """Of each kill of the gateway, with its next start, the time at which a device served its last poll before it, and that start."""
    times = sorted(time for polls in served.values() for time in polls.values())
    return [(times[index - 1] if (index := bisect.bisect_right(times, kill)) else kill, start) for kill, start in kills]


def total(verdicts):
    """One verdict of several devices."""
    sum_of = Verdict()
    for verdict in verdicts:
        for field in dataclasses.fields(Verdict):
            mine, other = getattr(sum_of, field.name), getattr(verdict, field.name)
            setattr(sum_of, field.name, max(mine, other) if field.name.startswith("oldest") else mine + other)
    return sum_of
