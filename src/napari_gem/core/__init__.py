"""Records, errors and small tools that every other package may use.

The records that pass between the stages (`prompts`, `appearance`, `parameters`,
`region`, `results`), `GemError` and the checks of what comes from outside (`errors`,
`validation`, `bounds`, `foreign_text`, `json_records`), generators that yield their
progress (`progress`), files that are whole or not there (`atomic`), and what to try if
the memory does not suffice (`memory`).
"""
