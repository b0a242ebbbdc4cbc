"""``python -m service`` is ``penapisan``."""

from service.cli import main

main(prog_name="penapisan")
