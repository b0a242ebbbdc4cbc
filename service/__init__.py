"""Who sees it, who decides: the command line now, the server and its domains beside it."""
