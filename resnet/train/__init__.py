"""How the shipped files were made, so that anybody can make them again."""
