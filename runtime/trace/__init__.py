"""Journals of the requests of a running gateway: for the caller who shows a token, and for operators who follow."""
