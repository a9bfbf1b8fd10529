"""Labels of reports from the concepts that they mention."""
