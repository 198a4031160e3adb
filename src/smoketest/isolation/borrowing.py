"""Where the driver's connection comes from, and where it goes after a test."""

from __future__ import annotations

from contextlib import suppress

from smoketest.exceptions import Refused

from .adoption import STATE_FIELDS, AdoptedConnection, Frame
from .lending import Kept, Lender


class BorrowingConnection(AdoptedConnection):
    """Connects, or takes a connection over from another test of the run."""

    def _smoke_obtain(self, frame: Frame) -> None:
        """Connect, or take a connection over from another test of the run."""
        lender = self._smoke_session.lender
        kept = None
        if lender is not None and self._smoke_own:
            kept = self._smoke_borrow(lender, frame)
        if kept is None:
            self._smoke_connect()
        else:
            self.__dict__.update(kept.fields, connection=kept.driver)
            self._smoke_connected = tuple(kept.fields)
            self._smoke_kept = True

    def _smoke_borrow(self, lender: Lender, frame: Frame) -> Kept | None:
        session = self._smoke_session
        try:
            return lender.borrow(
                session, self.alias, frame.databases, session.patience(), session.clock
            )
        except TimeoutError:
            raise Refused(
                f"{frame.subject} found no free connection to {self.alias!r}. The run holds at "
                "most SMOKETEST_MAX_CONNECTIONS to one database, and one only to SQLite; other "
                "tests, or the test itself on another thread, had them all. Allow more, or do "
                "the work on one thread."
            ) from None

    def _smoke_connect(self) -> None:
        state = self.transaction_state()
        before = dict(self.__dict__)
        try:
            with self.wrap_database_errors:
                self.connect()
        except BaseException:
            self._smoke_close_driver()
            self._smoke_return(None)
            raise
        finally:
            self.__dict__.update(state)
        self._smoke_kept = False
        self._smoke_connected = tuple(
            name
            for name, value in self.__dict__.items()
            if name != "connection"
            and name not in STATE_FIELDS
            and (name not in before or before[name] is not value)
        )

    def _smoke_give_back(self) -> None:
        """At the end of the outermost frame, let another test of the run have the connection."""
        if self._smoke_session.lender is None or not self._smoke_own:
            return
        # First of all: who severs this one must not find what is about to be another's.
        driver, self.connection = self.connection, None
        if self._smoke_changed or self._smoke_session.ended is not None:
            self._smoke_changed = False
            self.connection = driver
            self._smoke_drop()
            return
        fields = {name: self.__dict__[name] for name in self._smoke_connected}
        for name in fields:
            if name.startswith("_smoke_"):  # it goes along, and is closed with the connection
                del self.__dict__[name]
        self._smoke_return(Kept(driver, fields))

    def _smoke_return(self, kept: Kept | None) -> None:
        lender = self._smoke_session.lender
        if lender is not None and self._smoke_own:
            lender.give_back(self._smoke_session, self.alias, kept)

    def _smoke_drop(self) -> None:
        """Close a connection whose state is unknown: the server rolls back what it held."""
        self._smoke_levels.clear()
        self._smoke_close_driver()
        self._smoke_return(None)

    def _smoke_close_driver(self) -> None:
        self._smoke_forget()
        driver, self.connection = self.connection, None
        if driver is not None:
            # It was broken already, which is why it is closed.
            with suppress(self.Database.Error):
                driver.close()
