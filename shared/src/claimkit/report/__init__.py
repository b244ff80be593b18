"""Records to words and pictures: tables, badges, the report page, and pages of the documentation site."""
