"""Write tagged papers to files, one file a format."""
