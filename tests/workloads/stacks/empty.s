// Without a file of assembly, the compiler asks for the bodies of all functions.
