"""Tests with a tasklane service of their own: its clock goes forward when the test says so."""

from .duration import seconds
from .service import Clock, LeftoverTasksError, Service, ServiceError

__all__ = ["Clock", "LeftoverTasksError", "Service", "ServiceError", "seconds"]
