"""Files and answers as they were met in the field, each with the value that is right and where it is from.

No wording is copied: each row says the facts in as few words as show them. A row is a plain value; the tests that go
through them are tests/unit/test_field_*.py.
"""
