// Onegoroutine computes in a single goroutine on eight processors, for a second of CPU time: the scheduler has nothing for
// the others.
package main

import (
	"fmt"
	"runtime"
	"syscall"
	"time"
)

func cpuTime() time.Duration {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func mix(sum, i uint64) uint64 {
	return (sum ^ i) * 1099511628211
}

func main() {
	runtime.GOMAXPROCS(8)
	sum := uint64(1)
	for i := uint64(1); i%(1<<20) != 0 || cpuTime() < time.Second; i++ {
		sum = mix(sum, i)
	}
	fmt.Println(sum != 0)
}
