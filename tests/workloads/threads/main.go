// Threads keeps many threads busy at the same time: each goroutine is locked to its own thread and computes until the
// deadline. At the end, it prints the number of threads that computed and the CPU seconds that they used:
//
//	threads 200 cpu_seconds 3.982
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

func main() {
	count := flag.Int("n", 200, "number of threads")
	seconds := flag.Float64("seconds", 2, "wall-clock seconds to be busy")
	rest := flag.Duration("rest", 0, "how long each thread sleeps after about a millisecond of work; says when all threads exist")
	flag.Parse()

	// With as many Ps as threads, Go runs all threads, and the kernel shares the CPUs among them.
	runtime.GOMAXPROCS(*count)
	var ready, done sync.WaitGroup
	ready.Add(*count)
	start := make(chan time.Time)
	sums := make([]uint64, *count)
	for i := range sums {
		done.Add(1)
		go func(i int) {
			defer done.Done()
			runtime.LockOSThread()
			ready.Done()
			until := <-start
			time.Sleep(*rest * time.Duration(i) / time.Duration(*count))
			sums[i] = busy(until, *rest, uint64(i)+1)
		}(i)
	}
	ready.Wait()
	if *rest > 0 {
		fmt.Fprintln(os.Stderr, "threads: ready")
	}
	until := time.Now().Add(time.Duration(*seconds * float64(time.Second)))
	for range sums {
		start <- until
	}
	done.Wait()

	took := 0
	for _, sum := range sums {
		if sum != 0 {
			took++
		}
	}
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		fmt.Fprintln(os.Stderr, "threads:", err)
		os.Exit(1)
	}
	fmt.Printf("threads %d cpu_seconds %.3f\n", took, float64(used.Utime.Nano()+used.Stime.Nano())/1e9)
}

// busy computes until the deadline. It reads the clock about once in a millisecond.
//
//go:noinline
func busy(until time.Time, rest time.Duration, x uint64) uint64 {
	for time.Now().Before(until) {
		x = spin(x)
		if rest > 0 {
			time.Sleep(rest)
		}
	}
	return x
}

//go:noinline
func spin(x uint64) uint64 {
	for i := 0; i < 1_000_000; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}
