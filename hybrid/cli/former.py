"""Names of commands and options before they were renamed: words typed in, today's words out.

Scripts of users outlive a renaming, so the old words work, in no help text, with a sentence.
"""

from collections.abc import Mapping, Sequence

__all__ = ["COMMANDS", "OPTIONS", "translated"]

COMMANDS: Mapping[str, str] = {
    "record": "import-images",
    "card": "refresh",
    "evaluate --paper": "published",
}
# By the command's present name.
OPTIONS: Mapping[str, Mapping[str, str]] = {
    "import-images": {"--match": "--map-label", "--divide": "--tune-certify"},
    "choose": {"--observed": "--uncertified"},
    "adapt": {"--deviation": "--std"},
    "sweep": {"--deviation": "--std"},
    "train": {"--runs": "--checkpoints", "--limit": "--max-images"},
}


def translated(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """A command line with present names, and the former names in it with their present ones.

    Args:
        words: the command, then its arguments and options.

    >>> translated(["record", "digits-vgg", "--match=ant=bee"])[0]
    ['import-images', 'digits-vgg', '--map-label=ant=bee']
    """
    command, *rest = words
    found: dict[str, str] = {}
    if command == "evaluate" and "--paper" in rest:
        command = "evaluate --paper"
        rest.remove("--paper")
    if command in COMMANDS:
        found[command] = COMMANDS[command]
        command = COMMANDS[command]
    options = OPTIONS.get(command, {})
    for place, word in enumerate(rest):
        name, equals, value = word.partition("=")
        if name in options:
            found[name] = options[name]
            rest[place] = f"{options[name]}{equals}{value}"
    return [command, *rest], found
