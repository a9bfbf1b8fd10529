"""Reports as sets of ontology concepts: found, compared, searched, labelled."""
