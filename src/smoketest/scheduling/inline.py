"""Runs tests on the thread that asks for them, one by one."""

from __future__ import annotations

from time import monotonic

from smoketest import isolation, timeouts
from smoketest.units import Delivery, UnitRunner, divide

from .schedule import Schedule


class InlineSchedule(Schedule):
    """Runs on the calling thread: nothing can be cut off, but what is late does not start."""

    def run(self) -> None:
        """Run all tests; raises ``Stopped`` where that ends early."""
        with isolation.guarded_thread(self.limits(), self.deadline, proofs=self.proofs) as session:
            runner = UnitRunner(self, session, self.options)
            for unit in divide(enumerate(self._tests)):
                runner.run(unit)

    def deliver(self, stretch: timeouts.Stretch | None, *deliveries: Delivery) -> bool:
        """Keep the results; nothing ran beside them that could have held a lock."""
        for delivery in deliveries:
            self.keep(delivery.place, delivery.result)
            self.check_for_failfast(delivery.result)
        now = monotonic()
        if now >= self.deadline:
            raise self.deadline_reached()
        self.look_at_the_process(now)
        return True
