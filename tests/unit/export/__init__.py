"""Tests of collector/export."""
