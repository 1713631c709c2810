// Stubborn ignores SIGINT and SIGTERM and computes for `-duration`. Only SIGKILL ends it earlier. It prints "ready PID" after
// it has begun to ignore the signals, and "survived" at the end.
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
