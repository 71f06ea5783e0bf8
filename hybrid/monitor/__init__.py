"""Whether a certificate's promise still holds on a device: JSON lines in, evidence out.

    lines         one JSON line per answer or audit, written by the edge and read here
    audit         which early answers are also sent to the cloud, with a known probability
    evidence      bets against the promise: an alarm that may be looked at any number of times
    recertify     what is certified now, window by window
    plan          everything that an edge and a monitor must agree on, as a JSON file
    plans         a plan from a network that ships
    watch         lines to a status
    diagnostics   exits and confidences beside the trace's; shown, never the alarm
    simulate      the lines of a device that is made up
    source        the lines of a file that grows, of stdin or of an address

The edge needs `lines` and `audit`, which load nothing but numpy; so this package imports no other.
"""

from hybrid.monitor.audit import AuditPolicy, Expectation
from hybrid.monitor.lines import AnswerLine, AuditLine, parse_line

__all__ = ["AnswerLine", "AuditLine", "AuditPolicy", "Expectation", "parse_line"]
