// Labels computes with profiler labels that change often. At the same time, it writes the profile of runtime/pprof. At the
// end, it prints the CPU time in nanoseconds that it measured for each label value, as JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"syscall"
)

// millisecond is the number of rounds that a fast CPU does in about a millisecond. The amount of work is fixed, so it takes
// the same CPU time on a busy machine.
const millisecond = 400_000

var sink [2]uint64

func burn(worker, milliseconds int) {
	x := sink[worker] | 1
	for ; milliseconds > 0; milliseconds-- {
		for i := 0; i < millisecond; i++ {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
		}
	}
	sink[worker] = x
}

//go:noinline
func alpha(worker, milliseconds int) { burn(worker, milliseconds) }

//go:noinline
func beta(worker, milliseconds int) { burn(worker, milliseconds) }

//go:noinline
func gamma(worker, milliseconds int) { burn(worker, milliseconds) }

// cpuTime returns the CPU time of the calling thread in nanoseconds.
func cpuTime() int64 {
	const rusageThread = 1 // linux/resource.h
	var usage syscall.Rusage
	if err := syscall.Getrusage(rusageThread, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

// measured has the CPU time in nanoseconds of each worker, by label value.
var measured [len(sink)]map[string]int64

// measure runs the function, and adds its CPU time to that of a label value.
func measure(worker int, label string, run func()) {
	runtime.LockOSThread() // the CPU time is that of one thread
	defer runtime.UnlockOSThread()
	begun := cpuTime()
	run()
	measured[worker][label] += cpuTime() - begun
}

// serve handles a request of each of three tenants. Then it computes without labels, as long as for the first tenant.
func serve(worker, period int) {
	tenants := []struct {
		name   string
		handle func(int, int)
	}{{"alpha", alpha}, {"beta", beta}, {"gamma", gamma}}
	for i, tenant := range tenants {
		labels := pprof.Labels("tenant", tenant.name, "worker", fmt.Sprint(worker), "session_token", "hunter2")
		pprof.Do(context.Background(), labels, func(context.Context) {
			measure(worker, tenant.name, func() { tenant.handle(worker, period*(i+1)) })
		})
	}
	measure(worker, "(no_tenant)", func() { burn(worker, period) })
}

func main() {
	period := flag.Int("period", 50, "milliseconds of the shortest request")
	rounds := flag.Int("rounds", 8, "number of requests of each tenant and worker")
	profile := flag.String("profile", "", "file of runtime/pprof's profile")
	each := flag.Bool("each", false, "whether each round has a goroutine of its own")
	flag.Parse()
	if *profile != "" {
		file, err := os.Create(*profile)
		if err != nil {
			panic(err)
		}
		defer file.Close()
		// StartCPUProfile then prints a warning, and keeps this rate.
		runtime.SetCPUProfileRate(250)
		if err := pprof.StartCPUProfile(file); err != nil {
			panic(err)
		}
		defer pprof.StopCPUProfile()
	}
	var all sync.WaitGroup
	for worker := range sink {
		measured[worker] = map[string]int64{}
		all.Add(1)
		go func(worker int) {
			defer all.Done()
			for i := 0; i < *rounds; i++ {
				if !*each {
					serve(worker, *period)
					continue
				}
				done := make(chan bool)
				go func() { serve(worker, *period); done <- true }()
				<-done
			}
		}(worker)
	}
	all.Wait()
	sum := map[string]int64{}
	for _, times := range measured {
		for label, time := range times {
			sum[label] += time
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(sum); err != nil {
		panic(err)
	}
}
