// Quiet computes on all processors for a second of CPU time, and sometimes allocates, locks and writes a little. goflame must
// report no finding about it.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

var kept []byte

func cpuTime() time.Duration {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func mix(sum, i uint64) uint64 {
	return (sum ^ i) * 1099511628211
}

func compute(mu *sync.Mutex) {
	sum := uint64(1)
	for i := uint64(1); i%(1<<22) != 0 || cpuTime() < time.Second; i++ {
		sum = mix(sum, i)
		if i%(1<<22) == 0 {
			mu.Lock()
			kept = make([]byte, 64<<10)
			mu.Unlock()
			fmt.Fprintln(os.Stderr, "at", sum%10)
		}
	}
}

func main() {
	var mu sync.Mutex
	var group sync.WaitGroup
	for i := 0; i < runtime.GOMAXPROCS(0); i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			compute(&mu)
		}()
	}
	group.Wait()
	fmt.Println(len(kept) > 0)
}
