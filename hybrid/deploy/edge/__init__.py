"""The edge as a process: a bundle and a link to its cloud in, an answer within a deadline out.

    bundle      what the edge needs of a bundle, checked
    device      the bundle's C code, compiled once on this machine
    links       what a link to the cloud gives, and what can go wrong with it
    http        the link over the network
    guard       breaker, retry and their budget around a link
    spool       audits that wait on disk
    audits      which answers are audited, and the thread that sends them
    runtime     all of it: pixels in, one line of `hybrid.monitor` out
    metrics     counters for Prometheus
    serving     their address, and that of the lines
    inputs      images from paths, a watched folder, a camera

numpy, the standard library and a C compiler are enough.
"""
