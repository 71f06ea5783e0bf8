"""A fleet of devices that share one cloud, by simulation.

day        when images are taken and which of them are sent
queueing   the cloud as a queue with replicas and batches, in SimPy
plan       both for an operating point: traffic, energy, waiting times and replicas of a day
"""
