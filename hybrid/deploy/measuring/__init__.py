"""A deployment measured: a link that is as slow as a radio, both processes, and what they took.

toxics      what a proxy does to the bytes that pass it
proxy       a TCP proxy with toxics, in a thread or a process of its own
processes   cloud and proxy as processes, started and ended
asking      a split through an edge in a process of its own
measure     its lines beside the trace
profile     a hardware profile of what was measured
"""
