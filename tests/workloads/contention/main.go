// Contention has goroutines that compete for a lock around very little work, until they have used a second of CPU time.
package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func cpuTime() time.Duration {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func increment(mu *sync.Mutex, count *int, over *int32) {
	for atomic.LoadInt32(over) == 0 {
		mu.Lock()
		*count++
		mu.Unlock()
	}
}

func main() {
	var mu sync.Mutex
	var group sync.WaitGroup
	var count int
	var over int32
	for i := 0; i < 8; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			increment(&mu, &count, &over)
		}()
	}
	for cpuTime() < time.Second {
		time.Sleep(10 * time.Millisecond)
	}
	atomic.StoreInt32(&over, 1)
	group.Wait()
	fmt.Println(count > 0)
}
