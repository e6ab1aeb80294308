"""The scripted study: what turns data into trained weights, and the script itself."""
