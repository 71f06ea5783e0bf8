"""The page Deploy: a point's edge and cloud as two processes on this machine, and a fleet."""
