"""What a sweep file says, and which of its runs come next. No process is started here."""
