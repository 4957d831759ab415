"""Says when cron expressions are due in time zones, for tests/it/zones.rs: with `cronsim`, which follows Debian's cron, and the
time zones of `tzdata`.

Reads lines of a zone and an expression, separated by a tab, and prints one line for each: all seconds since the epoch from
2026 to the end of 2030 at which it is due.
"""

import sys
import zoneinfo
from datetime import datetime, timezone

from cronsim import CronSim

# Not those of the machine, which may be older.
zoneinfo.reset_tzpath(to=[])

BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
END = datetime(2031, 1, 1, tzinfo=timezone.utc)


def main():
    for line in sys.stdin:
        zone, expression = line.rstrip("\n").split("\t")
        times = []
        for time in CronSim(expression, BEGIN.astimezone(zoneinfo.ZoneInfo(zone))):
            if time >= END:
                break
            times.append(str(int(time.timestamp())))
        print(" ".join(times))


main()
