"""Quotas: how many in a period of the calendar, exact to the last one."""
