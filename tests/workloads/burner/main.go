// Burner uses about 0.3 s of CPU time. `-status` sets the exit status.
package main

import (
	"flag"
	"fmt"
	"os"
	"syscall"
)

func main() {
	seconds := flag.Float64("seconds", 0.3, "CPU seconds to use first")
	status := flag.Int("status", 0, "status to exit with")
	flag.Parse()

	x := uint64(1)
	for cpuSeconds() < *seconds {
		x = burn(x)
	}
	fmt.Fprintf(os.Stderr, "burner: leaving with status %d (%016x)\n", *status, x)
	os.Exit(*status)
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

// cpuSeconds returns the CPU seconds that this process has used.
func cpuSeconds() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}
