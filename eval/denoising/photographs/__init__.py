"""The denoising benchmark on anybody's photographs: whole images of any size, grey and in colour."""
