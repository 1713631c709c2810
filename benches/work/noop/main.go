// Noop does nothing: what a command takes that runs it is the command's own.
package main

func main() {}
