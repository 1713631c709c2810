// Without an assembly file in the package, the compiler refuses Go functions without a body.
