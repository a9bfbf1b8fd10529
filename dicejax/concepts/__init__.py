"""Reports as sets of ontology concepts: found, compared, searched, labelled.

Imported explicitly, room by room: `ontology` reads what concepts there are,
`extract` finds them in texts, `similarity` compares and searches, `compare`
explains, `labels` labels, `index` keeps reports with what they mention.
"""
