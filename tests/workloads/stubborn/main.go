// Stubborn ignores SIGINT and SIGTERM and computes for a while: only SIGKILL ends it early. It prints
// "ready PID" once the signals are ignored, and "survived" if it is left alone until the end.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	duration := flag.Duration("duration", 30*time.Second, "how long to run")
	flag.Parse()

	signal.Ignore(os.Interrupt, syscall.SIGTERM)
	fmt.Println("ready", os.Getpid())
	x := uint64(1)
	for until := time.Now().Add(*duration); time.Now().Before(until); {
		x = burn(x)
	}
	fmt.Printf("survived (%016x)\n", x)
}

//go:noinline
func burn(x uint64) uint64 {
	for i := 0; i < 1_000_000; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}
