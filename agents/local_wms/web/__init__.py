"""The pages that the local WMS shows to people: all jobs and pilots, and one job."""
