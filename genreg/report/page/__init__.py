"""A report as one HTML page that needs nothing else: no network, no script but its own."""

from genreg.report.page.build import page as page
