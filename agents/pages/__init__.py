"""Pages for people: one document, one style sheet and the parts that all of them share."""
