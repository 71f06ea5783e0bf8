"""Tests; the folders mirror hybrid/ and pages/."""
