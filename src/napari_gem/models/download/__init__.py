"""Files of the hub and of the web, fetched when the user agreed.

`hub` fetches a model, `web` one file at an address; `transfer` resumes and checks
each file.
"""
