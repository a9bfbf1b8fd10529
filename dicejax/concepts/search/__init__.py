"""Reports as sets of concepts: compared, searched and explained."""
